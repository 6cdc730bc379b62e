ALTER TABLE lock_outs ADD COLUMN leaked_at timestamptz;
COMMENT ON COLUMN lock_outs.leaked_at IS 'Up to when failures have been let off. Null: none yet since the last failure, or counted by an earlier release.';
