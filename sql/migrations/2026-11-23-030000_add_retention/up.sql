ALTER TABLE accounts ADD COLUMN retention_days integer CONSTRAINT accounts_retention_days_range CHECK (retention_days BETWEEN 0 AND 36500);
COMMENT ON COLUMN accounts.retention_days IS 'After so many days the personal data of a conference are erased; 0 keeps them. Null: the configuration''s.';

ALTER TABLE conferences ADD COLUMN erased_at timestamptz;
COMMENT ON COLUMN conferences.erased_at IS 'When the personal data of its people were erased; times, outcomes and charges are kept.';

-- An erased person has no number.
ALTER TABLE participants DROP CONSTRAINT participants_phone_form;
ALTER TABLE participants ADD CONSTRAINT participants_phone_form CHECK (phone ~ '^(\+?[0-9]{2,20})?$');

-- By account, because each may have its own time.
CREATE INDEX conferences_to_erase_idx ON conferences (account, ended_at) WHERE ended_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX conferences_never_held_idx ON conferences (account, coalesce(scheduled_at, created_at)) WHERE state = 'planned';
CREATE INDEX messages_without_conference_idx ON messages (account, created_at) WHERE conference IS NULL;
CREATE INDEX outbox_without_conference_idx ON outbox (account, created_at) WHERE conference IS NULL;
CREATE INDEX charges_unrated_idx ON charges (conference) WHERE status IN ('unrated', 'error');
CREATE INDEX plans_account_created_at_idx ON plans (account, created_at);
