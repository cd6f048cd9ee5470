DROP TABLE outbox;
DROP TABLE counters;
DROP TABLE lines;
DROP TABLE notes;
