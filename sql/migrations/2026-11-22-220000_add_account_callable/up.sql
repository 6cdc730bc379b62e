ALTER TABLE accounts ADD COLUMN callable text NOT NULL DEFAULT 'all'
    CONSTRAINT accounts_callable_word CHECK (callable IN ('all', 'national', 'directory'));
COMMENT ON COLUMN accounts.callable IS 'Whom its owner lets his conferences call, within what the configuration allows: all, national (numbers of the operator''s country), directory (its own contacts).';
