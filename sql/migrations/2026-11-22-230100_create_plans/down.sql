DROP TABLE plan_reminders;
ALTER TABLE messages DROP COLUMN plan;
ALTER TABLE conferences DROP COLUMN length_minutes;
ALTER TABLE conferences DROP COLUMN plan_index;
ALTER TABLE conferences DROP COLUMN plan_start;
ALTER TABLE conferences DROP COLUMN plan;
DROP TABLE plans;
