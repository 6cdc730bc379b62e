DROP INDEX plans_account_created_at_idx, charges_unrated_idx, outbox_without_conference_idx, messages_without_conference_idx, conferences_never_held_idx, conferences_to_erase_idx;
UPDATE participants SET phone = '00' WHERE phone = '';
ALTER TABLE participants DROP CONSTRAINT participants_phone_form;
ALTER TABLE participants ADD CONSTRAINT participants_phone_form CHECK (phone ~ '^\+?[0-9]{2,20}$');
ALTER TABLE conferences DROP COLUMN erased_at;
ALTER TABLE accounts DROP COLUMN retention_days;
