CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    kind text NOT NULL CONSTRAINT outbox_kind_form CHECK (kind ~ '^[a-z_]{1,40}$'),
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    conference uuid,
    dedup_key text NOT NULL CONSTRAINT outbox_dedup_key_key UNIQUE
        CONSTRAINT outbox_dedup_key_length CHECK (char_length(dedup_key) BETWEEN 1 AND 200),
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'queued' CONSTRAINT outbox_state_word CHECK (state IN ('queued', 'sending', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0 CONSTRAINT outbox_attempts_range CHECK (attempts >= 0),
    next_attempt_at timestamptz NOT NULL,
    claimed_at timestamptz,
    last_error text,
    message_id text,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    CONSTRAINT outbox_conference_fkey FOREIGN KEY (account, conference) REFERENCES conferences (account, id) ON DELETE CASCADE,
    CONSTRAINT outbox_sent_has_time CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CONSTRAINT outbox_sending_has_claim CHECK (state <> 'sending' OR (claimed_at IS NOT NULL AND message_id IS NOT NULL))
);
CREATE INDEX outbox_due_idx ON outbox (next_attempt_at) WHERE state = 'queued';
CREATE INDEX outbox_claimed_idx ON outbox (claimed_at) WHERE state = 'sending';
CREATE INDEX outbox_conference_idx ON outbox (account, conference);
COMMENT ON TABLE outbox IS 'Messages to be sent, written in the transaction that makes them due.';
COMMENT ON COLUMN outbox.dedup_key IS 'The same message is queued once: a second row with its key is dropped.';
COMMENT ON COLUMN outbox.claimed_at IS 'When a worker last took it; one that dies lets it come back.';
COMMENT ON COLUMN outbox.message_id IS 'Message-ID of the mail (RFC 5322), fixed before the first attempt, so that a repeat carries the same.';
