CREATE TABLE passes (
    id uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    conference uuid,
    contact uuid,
    caller jsonb NOT NULL,
    node text NOT NULL CONSTRAINT passes_node_length CHECK (char_length(node) BETWEEN 1 AND 100),
    leg uuid,
    issued_at timestamptz NOT NULL,
    CONSTRAINT passes_conference_fkey FOREIGN KEY (account, conference) REFERENCES conferences (account, id) ON DELETE CASCADE,
    CONSTRAINT passes_contact_fkey FOREIGN KEY (account, contact) REFERENCES contacts (account, id) ON DELETE CASCADE
);
CREATE INDEX passes_issued_at_idx ON passes (issued_at);
CREATE INDEX passes_conference_idx ON passes (account, conference);
CREATE INDEX passes_contact_idx ON passes (account, contact);
COMMENT ON TABLE passes IS 'Callers who are brought from one switch to another: who each is, and which leg has used the pass.';
