DROP TABLE journal;
DROP TABLE legs;
DROP TABLE participants;
DROP TABLE conferences;
