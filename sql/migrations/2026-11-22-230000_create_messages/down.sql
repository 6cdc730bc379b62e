DROP TABLE message_deliveries;
DROP TABLE messages;
ALTER TABLE outbox DROP COLUMN ordering_key;
ALTER TABLE outbox DROP COLUMN position;
ALTER TABLE outbox DROP COLUMN remote_id;
