CREATE TABLE events (
    id uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    conference uuid NOT NULL,
    seq bigint NOT NULL CONSTRAINT events_seq_range CHECK (seq >= 1),
    key text NOT NULL CONSTRAINT events_key_length CHECK (char_length(key) BETWEEN 1 AND 120),
    kind text NOT NULL CONSTRAINT events_kind_form CHECK (kind ~ '^[a-z_.]{1,60}$'),
    data jsonb NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT events_conference_seq_key UNIQUE (conference, seq),
    CONSTRAINT events_conference_key_key UNIQUE (conference, key),
    CONSTRAINT events_conference_fkey FOREIGN KEY (account, conference) REFERENCES conferences (account, id) ON DELETE CASCADE
);
CREATE INDEX events_account_at_idx ON events (account, at, id);
COMMENT ON TABLE events IS 'What webhooks tell, written in the transaction that makes it true; kept, so that it can be told again.';
COMMENT ON COLUMN events.seq IS 'Its number within the conference, without a gap: a receiver sees what it has missed.';
COMMENT ON COLUMN events.key IS 'Names the event, so that a repeated write does not make it twice.';

CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    account uuid REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL CONSTRAINT webhooks_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    url text NOT NULL CONSTRAINT webhooks_url_length CHECK (char_length(url) BETWEEN 8 AND 2000),
    secret text NOT NULL CONSTRAINT webhooks_secret_length CHECK (char_length(secret) BETWEEN 16 AND 200),
    kinds text[] NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);
CREATE UNIQUE INDEX webhooks_operator_name_key ON webhooks (name) WHERE account IS NULL;
CREATE INDEX webhooks_account_idx ON webhooks (account);
COMMENT ON TABLE webhooks IS 'Where events are sent to.';
COMMENT ON COLUMN webhooks.account IS 'Null: the operator''s own, from the configuration; it is told of all accounts.';
COMMENT ON COLUMN webhooks.secret IS 'Signs what is sent; it must be known here, so that it cannot be kept as a hash.';
COMMENT ON COLUMN webhooks.kinds IS 'Which events; none means all.';
