ALTER TABLE tariffs ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC'
    CONSTRAINT tariffs_time_zone_length CHECK (char_length(time_zone) BETWEEN 1 AND 64);
COMMENT ON COLUMN tariffs.time_zone IS 'IANA name of the time zone whose midnights cut components.';

ALTER TABLE tariff_rates ADD COLUMN split text NOT NULL DEFAULT 'none'
    CONSTRAINT tariff_rates_split_word CHECK (split IN ('none', 'midnight', 'tariff_change', 'both'));
COMMENT ON COLUMN tariff_rates.split IS 'Where a component that begins at this rate is cut into parts.';

ALTER TABLE charges ADD COLUMN part integer NOT NULL DEFAULT 0 CONSTRAINT charges_part_range CHECK (part >= 0);
COMMENT ON COLUMN charges.part IS 'Which part of the component, from 0.';
-- A reversal and the corrected row have the same revision.
ALTER TABLE charges DROP CONSTRAINT charges_leg_component_revision_key;
CREATE UNIQUE INDEX charges_row_key ON charges (leg, component, part, revision, (reverses IS NULL));
