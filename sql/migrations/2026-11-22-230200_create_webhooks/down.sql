DROP TABLE webhooks;
DROP TABLE events;
