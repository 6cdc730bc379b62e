DROP TABLE waiting_callers;
DROP TABLE lock_outs;
ALTER TABLE accounts DROP COLUMN pin_hash;
ALTER TABLE contacts DROP COLUMN code;
