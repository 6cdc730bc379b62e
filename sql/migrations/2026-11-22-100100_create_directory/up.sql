CREATE TABLE contacts (
    id uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL CONSTRAINT contacts_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    phone text NOT NULL CONSTRAINT contacts_phone_form CHECK (phone ~ '^\+?[0-9]{2,20}$'),
    email text CONSTRAINT contacts_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    note text CONSTRAINT contacts_note_length CHECK (char_length(note) <= 2000),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT contacts_account_id_key UNIQUE (account, id)
);
CREATE INDEX contacts_account_name_idx ON contacts (account, name, id);
COMMENT ON TABLE contacts IS 'People in an account''s directory.';

CREATE TABLE groups (
    id uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL CONSTRAINT groups_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT groups_account_id_key UNIQUE (account, id),
    CONSTRAINT groups_account_name_key UNIQUE (account, name)
);
COMMENT ON TABLE groups IS 'Named groups of contacts in an account''s directory.';

CREATE TABLE group_members (
    account uuid NOT NULL,
    group_id uuid NOT NULL,
    contact uuid NOT NULL,
    position integer NOT NULL,
    PRIMARY KEY (group_id, contact),
    CONSTRAINT group_members_group_fkey FOREIGN KEY (account, group_id) REFERENCES groups (account, id) ON DELETE CASCADE,
    CONSTRAINT group_members_contact_fkey FOREIGN KEY (account, contact) REFERENCES contacts (account, id) ON DELETE CASCADE
);
CREATE INDEX group_members_contact_idx ON group_members (account, contact);
COMMENT ON TABLE group_members IS 'Which contacts a group holds. The account is part of both references, so that a group cannot hold another account''s contact.';
