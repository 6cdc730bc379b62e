ALTER TABLE contacts ADD COLUMN code text
    CONSTRAINT contacts_code_key UNIQUE
    CONSTRAINT contacts_code_form CHECK (code ~ '^[0-9]{8}$');
COMMENT ON COLUMN contacts.code IS 'What the person keys to come into a conference; unique over all accounts. Null until the service has drawn one.';

ALTER TABLE accounts ADD COLUMN pin_hash text;
COMMENT ON COLUMN accounts.pin_hash IS 'Argon2id in PHC string form of the PIN with which the convener starts conferences by phone; null: he cannot.';

CREATE TABLE lock_outs (
    subject text NOT NULL CONSTRAINT lock_outs_subject_word CHECK (subject IN ('line', 'code', 'access_number')),
    key text NOT NULL CONSTRAINT lock_outs_key_length CHECK (char_length(key) BETWEEN 1 AND 300),
    failures integer NOT NULL CONSTRAINT lock_outs_failures_range CHECK (failures >= 1),
    last_failed_at timestamptz NOT NULL,
    locked_until timestamptz,
    PRIMARY KEY (subject, key)
);
CREATE INDEX lock_outs_last_failed_at_idx ON lock_outs (last_failed_at);
COMMENT ON TABLE lock_outs IS 'Failed codes and PINs of callers, counted so that guessing takes ever longer.';

CREATE TABLE waiting_callers (
    leg uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    conference uuid NOT NULL,
    contact uuid NOT NULL,
    since timestamptz NOT NULL,
    CONSTRAINT waiting_callers_conference_fkey FOREIGN KEY (account, conference) REFERENCES conferences (account, id) ON DELETE CASCADE,
    CONSTRAINT waiting_callers_contact_fkey FOREIGN KEY (account, contact) REFERENCES contacts (account, id) ON DELETE CASCADE
);
CREATE INDEX waiting_callers_conference_idx ON waiting_callers (account, conference);
COMMENT ON TABLE waiting_callers IS 'Callers who wait for a planned conference to be started; a service that starts anew knows them by this.';
