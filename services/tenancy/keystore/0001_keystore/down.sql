DROP FUNCTION rewrap_keys(uuid[], text[], integer[], bytea[], text[], bytea[]);
DROP FUNCTION wrapped_keys_of(uuid[]);
DROP TABLE outbox, rotation_leases, rotation_failures, rotations, keyed_workspaces, workspace_keys;
