DROP TABLE idempotency_keys;
ALTER TABLE accounts
    DROP COLUMN at_cap,
    DROP COLUMN daily_spend_cap,
    DROP COLUMN max_length_seconds,
    DROP COLUMN max_conferences,
    DROP COLUMN allowed_prefixes,
    DROP COLUMN line;
