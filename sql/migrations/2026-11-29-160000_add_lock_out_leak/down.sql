ALTER TABLE lock_outs DROP COLUMN leaked_at;
