DROP INDEX charges_row_key;
ALTER TABLE charges ADD CONSTRAINT charges_leg_component_revision_key UNIQUE (leg, component, revision);
ALTER TABLE charges DROP COLUMN part;
ALTER TABLE tariff_rates DROP COLUMN split;
ALTER TABLE tariffs DROP COLUMN time_zone;
