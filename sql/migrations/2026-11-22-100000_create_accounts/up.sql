CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    user_number text NOT NULL CONSTRAINT accounts_user_number_key UNIQUE
        CONSTRAINT accounts_user_number_digits CHECK (user_number ~ '^[0-9]{3,20}$'),
    name text NOT NULL CONSTRAINT accounts_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    phone text NOT NULL CONSTRAINT accounts_phone_form CHECK (phone ~ '^\+?[0-9]{2,20}$'),
    email text NOT NULL CONSTRAINT accounts_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    language text NOT NULL CONSTRAINT accounts_language_form CHECK (language ~ '^[a-z]{2}$'),
    time_zone text NOT NULL CONSTRAINT accounts_time_zone_length CHECK (char_length(time_zone) BETWEEN 1 AND 64),
    password_hash text NOT NULL,
    staff boolean NOT NULL DEFAULT false,
    grace_seconds integer NOT NULL DEFAULT 0 CONSTRAINT accounts_grace_seconds_range CHECK (grace_seconds BETWEEN 0 AND 3600),
    entry_beep boolean NOT NULL DEFAULT false,
    max_participants integer CONSTRAINT accounts_max_participants_range CHECK (max_participants BETWEEN 2 AND 10000),
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);
COMMENT ON TABLE accounts IS 'Subscribers of the service; one logs in with the user number and a password.';
COMMENT ON COLUMN accounts.phone IS 'Where the convener is called: + with country code and number, or a short number.';
COMMENT ON COLUMN accounts.password_hash IS 'Argon2id in PHC string form.';
COMMENT ON COLUMN accounts.grace_seconds IS 'How long the others wait for a convener whose call has ended; 0 ends the conference with it.';
COMMENT ON COLUMN accounts.max_participants IS 'Null: the limit of the configuration.';

CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY CONSTRAINT sessions_token_hash_length CHECK (octet_length(token_hash) = 32),
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    user_agent text CONSTRAINT sessions_user_agent_length CHECK (char_length(user_agent) <= 400)
);
CREATE INDEX sessions_account_idx ON sessions (account);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
COMMENT ON TABLE sessions IS 'Browser sessions. Only the SHA-256 of the cookie''s token is kept.';

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL CONSTRAINT api_tokens_token_hash_key UNIQUE
        CONSTRAINT api_tokens_token_hash_length CHECK (octet_length(token_hash) = 32),
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL CONSTRAINT api_tokens_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_tokens_account_idx ON api_tokens (account);
COMMENT ON TABLE api_tokens IS 'Tokens with which programs use the API. Only the SHA-256 is kept.';
