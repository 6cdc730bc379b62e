-- The lines stay: they say what null meant.
COMMENT ON COLUMN accounts.line IS 'The line in the operator''s network that makes it eligible. Null: its telephone.';
