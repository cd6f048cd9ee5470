SELECT causeway.create_erasures_applied();

-- No foreign key ties these to a workspace, and an access token outlives it by some minutes.
SELECT causeway.refuse_erased('tokens', 'workspace_id');
SELECT causeway.refuse_erased('sessions', 'workspace');

-- Serve the erasure of a workspace.
CREATE INDEX sessions_by_workspace ON sessions (workspace, user_id);
