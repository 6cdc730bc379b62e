ALTER TABLE switch_nodes DROP COLUMN draining;
