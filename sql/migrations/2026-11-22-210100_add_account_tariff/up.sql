ALTER TABLE accounts ADD COLUMN tariff text CONSTRAINT accounts_tariff_length CHECK (char_length(tariff) BETWEEN 1 AND 100);
COMMENT ON COLUMN accounts.tariff IS 'The tariff by which its conferences are charged. Null: the one of the configuration.';

ALTER TABLE conferences ADD COLUMN tariff text CONSTRAINT conferences_tariff_length CHECK (char_length(tariff) BETWEEN 1 AND 100);
COMMENT ON COLUMN conferences.tariff IS 'The tariff by which it is charged, fixed at its start, so that an account''s new tariff changes nothing that is past.';
