DROP INDEX sessions_by_workspace;
DROP TRIGGER refuse_erased ON sessions;
DROP TRIGGER refuse_erased ON tokens;
DROP TABLE erasures_applied;
