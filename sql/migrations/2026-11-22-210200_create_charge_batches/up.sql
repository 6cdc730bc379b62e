CREATE TABLE charge_batches (
    number bigint PRIMARY KEY CONSTRAINT charge_batches_number_range CHECK (number >= 1),
    format integer NOT NULL,
    created_at timestamptz NOT NULL,
    charges bigint NOT NULL CONSTRAINT charge_batches_charges_range CHECK (charges >= 1),
    csv_sha256 bytea NOT NULL CONSTRAINT charge_batches_csv_sha256_length CHECK (octet_length(csv_sha256) = 32),
    jsonl_sha256 bytea NOT NULL CONSTRAINT charge_batches_jsonl_sha256_length CHECK (octet_length(jsonl_sha256) = 32),
    handed_over_at timestamptz
);
COMMENT ON TABLE charge_batches IS 'Hand-overs to the billing system, numbered from 1 without a gap.';
COMMENT ON COLUMN charge_batches.format IS 'Which form the files have, so that an old batch can be made again byte for byte.';
COMMENT ON COLUMN charge_batches.handed_over_at IS 'When its files lay in place. Null: they may not, and the next export puts them there.';

ALTER TABLE charges ADD COLUMN batch bigint
    CONSTRAINT charges_batch_fkey REFERENCES charge_batches DEFERRABLE INITIALLY DEFERRED
    CONSTRAINT charges_batch_is_money CHECK (batch IS NULL OR status = 'rated');
CREATE INDEX charges_batch_idx ON charges (batch) WHERE batch IS NOT NULL;
CREATE INDEX charges_to_export_idx ON charges (created_at, id) WHERE status = 'rated' AND batch IS NULL;
COMMENT ON COLUMN charges.batch IS 'The batch in which the row was handed over; the one column that is set after the row was written, and once.';

CREATE INDEX legs_answered_idx ON legs (answered_at, id) WHERE ended_at IS NOT NULL;
COMMENT ON INDEX legs_answered_idx IS 'For rating again by period.';
