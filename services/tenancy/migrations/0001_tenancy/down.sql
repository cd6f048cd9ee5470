DROP TABLE outbox;
DROP TABLE secrets;
DROP TABLE workspace_keys;
DROP TABLE membership_index;
DROP TABLE members;
DROP TABLE workspaces;
