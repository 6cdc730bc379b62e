ALTER TABLE legs DROP COLUMN convener_pays;
