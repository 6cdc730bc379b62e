ALTER TABLE legs ADD COLUMN convener_pays boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN legs.convener_pays IS 'The convener has accepted to pay for a caller for whom the network does not vouch.';
