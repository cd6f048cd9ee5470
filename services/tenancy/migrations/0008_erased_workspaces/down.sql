DROP TRIGGER refuse_erased ON workspaces;
