-- What a tenant's table looks like.
CREATE TABLE notes (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
SELECT causeway.enable_workspace_policy('notes');

-- The same without a policy, for pgbench.
CREATE TABLE plain (
    workspace uuid NOT NULL,
    id uuid NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (workspace, id)
);

-- What is read: pages by time.
CREATE TABLE entries (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX entries_by_time ON entries (workspace_id, created_at, id);
SELECT causeway.enable_workspace_policy('entries');
