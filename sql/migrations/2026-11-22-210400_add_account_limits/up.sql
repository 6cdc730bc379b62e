ALTER TABLE accounts
    ADD COLUMN line text CONSTRAINT accounts_line_form CHECK (line ~ '^\+?[0-9]{2,20}$'),
    ADD COLUMN allowed_prefixes jsonb CONSTRAINT accounts_allowed_prefixes_array CHECK (jsonb_typeof(allowed_prefixes) = 'array'),
    ADD COLUMN max_conferences integer CONSTRAINT accounts_max_conferences_range CHECK (max_conferences BETWEEN 0 AND 10000),
    ADD COLUMN max_length_seconds integer CONSTRAINT accounts_max_length_seconds_range CHECK (max_length_seconds BETWEEN 60 AND 604800),
    ADD COLUMN daily_spend_cap bigint CONSTRAINT accounts_daily_spend_cap_range CHECK (daily_spend_cap >= 0),
    ADD COLUMN at_cap text CONSTRAINT accounts_at_cap_word CHECK (at_cap IN ('no_new_calls', 'end'));
COMMENT ON COLUMN accounts.line IS 'The line in the operator''s network that makes it eligible. Null: its telephone.';
COMMENT ON COLUMN accounts.allowed_prefixes IS 'Beginnings of numbers that it may call. Null: those of the configuration.';
COMMENT ON COLUMN accounts.max_conferences IS 'Conferences at once. Null: as the configuration says, which it cannot exceed.';
COMMENT ON COLUMN accounts.max_length_seconds IS 'Length of a conference. Null: as the configuration says, which it cannot exceed.';
COMMENT ON COLUMN accounts.daily_spend_cap IS 'What it may cost a day with VAT, in 1/10000 of the currency''s unit. Null: as the configuration says.';
COMMENT ON COLUMN accounts.at_cap IS 'What happens then. Null: as the configuration says.';

CREATE TABLE idempotency_keys (
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    key text NOT NULL CONSTRAINT idempotency_keys_key_length CHECK (char_length(key) BETWEEN 1 AND 200),
    request_sha256 bytea NOT NULL CONSTRAINT idempotency_keys_request_sha256_length CHECK (octet_length(request_sha256) = 32),
    conference uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account, key)
);
COMMENT ON TABLE idempotency_keys IS 'Requests to plan a conference that were sent under a key, so that sending one again plans nothing twice.';
