-- The id of a workspace that was erased is used up: nothing that comes late makes it again.
SELECT causeway.refuse_erased('workspaces', 'workspace_id');
