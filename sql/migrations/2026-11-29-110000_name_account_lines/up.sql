-- Without a line of its own an account was eligible by its telephone, which its owner may change.
UPDATE accounts SET line = phone WHERE line IS NULL;
COMMENT ON COLUMN accounts.line IS 'The line in the operator''s network that makes it eligible; only the operator changes it. Null, its telephone, only from an earlier release.';
