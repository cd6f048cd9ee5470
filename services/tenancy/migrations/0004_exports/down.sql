DROP TABLE erasures_applied;
DROP TABLE doomed_objects;
DROP TABLE export_jobs;
DROP TABLE export_chunks;
DROP TABLE exports;
