ALTER TABLE switch_nodes ADD COLUMN draining boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN switch_nodes.draining IS 'The operator wants no new conferences on this switch; those that run there finish.';
