ALTER TABLE conferences ADD COLUMN lapsed_at timestamptz;
COMMENT ON COLUMN conferences.lapsed_at IS 'When its convener was told that the service could not start it at its time; it can still be started by hand.';
COMMENT ON COLUMN conferences.reason IS 'Why it failed or ended, or why a planned one could not be started at its time, as a word of the API.';
COMMENT ON COLUMN idempotency_keys.conference IS 'What was planned: a conference, or a plan.';
COMMENT ON COLUMN outbox.remote_id IS 'What the receiving side calls the message, where it says so: an SMS gateway''s name, a colon and its identifier.';
