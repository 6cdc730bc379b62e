ALTER TABLE conferences DROP COLUMN tariff;
ALTER TABLE accounts DROP COLUMN tariff;
