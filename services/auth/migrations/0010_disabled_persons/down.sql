DROP TABLE disabled_persons;
