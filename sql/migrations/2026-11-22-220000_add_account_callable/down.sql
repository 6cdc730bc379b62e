ALTER TABLE accounts DROP COLUMN callable;
