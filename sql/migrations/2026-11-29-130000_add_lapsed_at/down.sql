COMMENT ON COLUMN outbox.remote_id IS 'What the receiving side calls the message, where it says so: an SMS gateway''s identifier.';
COMMENT ON COLUMN idempotency_keys.conference IS NULL;
COMMENT ON COLUMN conferences.reason IS 'Why it failed or ended, as a word of the API.';
ALTER TABLE conferences DROP COLUMN lapsed_at;
