DROP TABLE entries;
DROP TABLE plain;
DROP TABLE notes;
