DROP INDEX legs_answered_idx;
DROP INDEX charges_to_export_idx;
DROP INDEX charges_batch_idx;
ALTER TABLE charges DROP COLUMN batch;
DROP TABLE charge_batches;
