CREATE TABLE tariffs (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT tariffs_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    version integer NOT NULL CONSTRAINT tariffs_version_range CHECK (version >= 1),
    currency text NOT NULL CONSTRAINT tariffs_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    valid_from timestamptz NOT NULL,
    source_sha256 bytea NOT NULL CONSTRAINT tariffs_source_sha256_length CHECK (octet_length(source_sha256) = 32),
    imported_at timestamptz NOT NULL,
    CONSTRAINT tariffs_name_version_key UNIQUE (name, version)
);
COMMENT ON TABLE tariffs IS 'Versions of price lists; each is in force until the next one of its name begins.';
COMMENT ON COLUMN tariffs.source_sha256 IS 'SHA-256 of the imported file.';

CREATE TABLE tariff_rates (
    tariff uuid NOT NULL REFERENCES tariffs ON DELETE CASCADE,
    component text NOT NULL CONSTRAINT tariff_rates_component_word CHECK (component IN ('call', 'conference')),
    prefix text NOT NULL CONSTRAINT tariff_rates_prefix_form CHECK (prefix ~ '^(\+[0-9]{0,15}|[0-9]{1,8})$'),
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    description text NOT NULL CONSTRAINT tariff_rates_description_length CHECK (char_length(description) <= 200),
    connect_fee bigint NOT NULL CONSTRAINT tariff_rates_connect_fee_range CHECK (connect_fee >= 0),
    price_per_minute bigint NOT NULL CONSTRAINT tariff_rates_price_per_minute_range CHECK (price_per_minute >= 0),
    first_increment bigint NOT NULL CONSTRAINT tariff_rates_first_increment_range CHECK (first_increment > 0),
    next_increment bigint NOT NULL CONSTRAINT tariff_rates_next_increment_range CHECK (next_increment > 0),
    free_seconds bigint NOT NULL CONSTRAINT tariff_rates_free_seconds_range CHECK (free_seconds >= 0),
    rounding_unit bigint NOT NULL CONSTRAINT tariff_rates_rounding_unit_range CHECK (rounding_unit > 0),
    vat_percent integer NOT NULL CONSTRAINT tariff_rates_vat_percent_range CHECK (vat_percent BETWEEN 0 AND 10000),
    PRIMARY KEY (tariff, component, prefix, valid_from),
    CONSTRAINT tariff_rates_validity CHECK (valid_from < valid_to)
);
COMMENT ON TABLE tariff_rates IS 'Rows of the price lists. Amounts are in 1/10000 of the currency''s unit, times in seconds, VAT in 1/100 of a percent.';

CREATE TABLE charges (
    id uuid PRIMARY KEY,
    leg uuid NOT NULL REFERENCES legs,
    conference uuid NOT NULL,
    account uuid NOT NULL,
    component text NOT NULL CONSTRAINT charges_component_word CHECK (component IN ('call', 'conference')),
    payer text NOT NULL CONSTRAINT charges_payer_word CHECK (payer IN ('convener', 'caller')),
    payer_line text CONSTRAINT charges_payer_line_length CHECK (char_length(payer_line) <= 64),
    status text NOT NULL CONSTRAINT charges_status_word CHECK (status IN ('rated', 'informational', 'unrated', 'error')),
    reason text CONSTRAINT charges_reason_form CHECK (reason ~ '^[a-z_]{1,40}$'),
    tariff text,
    tariff_version integer,
    prefix text,
    started_at timestamptz NOT NULL,
    seconds bigint NOT NULL,
    billed_seconds bigint NOT NULL,
    net bigint NOT NULL,
    vat_percent integer NOT NULL,
    vat bigint NOT NULL,
    gross bigint NOT NULL CONSTRAINT charges_gross_sum CHECK (gross::numeric = net::numeric + vat::numeric),
    currency text NOT NULL CONSTRAINT charges_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    revision integer NOT NULL CONSTRAINT charges_revision_range CHECK (revision >= 0),
    reverses uuid CONSTRAINT charges_reverses_key UNIQUE REFERENCES charges,
    created_at timestamptz NOT NULL,
    CONSTRAINT charges_leg_component_revision_key UNIQUE (leg, component, revision),
    CONSTRAINT charges_conference_fkey FOREIGN KEY (account, conference) REFERENCES conferences (account, id),
    CONSTRAINT charges_rate_whole CHECK ((tariff IS NULL) = (tariff_version IS NULL) AND (tariff IS NULL) = (prefix IS NULL)),
    CONSTRAINT charges_line_of_caller CHECK (payer = 'caller' OR payer_line IS NULL)
);
CREATE INDEX charges_conference_idx ON charges (account, conference);
CREATE INDEX charges_account_time_idx ON charges (account, started_at, id);
COMMENT ON TABLE charges IS 'Priced rows, written once and never changed: a correction is a reversing row and a new one. Amounts are in 1/10000 of the currency''s unit.';
COMMENT ON COLUMN charges.id IS 'Derived from leg, component and revision, so that rating twice gives the same row.';
COMMENT ON COLUMN charges.vat_percent IS 'In 1/100 of a percent.';
COMMENT ON COLUMN charges.reverses IS 'The row whose exact negative this is.';
