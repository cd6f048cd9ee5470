CREATE TABLE workspaces (
    workspace_id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    region text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
SELECT causeway.enable_workspace_policy('workspaces');

CREATE TABLE members (
    workspace_id uuid NOT NULL REFERENCES workspaces (workspace_id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX members_by_time ON members (workspace_id, joined_at, user_id);
SELECT causeway.enable_workspace_policy('members');

-- Which workspaces a person belongs to: the one question that is asked before a workspace is known. It holds ids and
-- times only; what they stand for is read inside each workspace, under its policy.
CREATE TABLE membership_index (
    user_id uuid NOT NULL,
    workspace uuid NOT NULL,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, workspace),
    FOREIGN KEY (workspace, user_id) REFERENCES members (workspace_id, user_id) ON DELETE CASCADE
);
CREATE INDEX membership_index_by_time ON membership_index (user_id, joined_at, workspace);
-- Serves the cascade.
CREATE INDEX membership_index_by_workspace ON membership_index (workspace, user_id);

CREATE TABLE workspace_keys (
    workspace_id uuid NOT NULL REFERENCES workspaces (workspace_id) ON DELETE CASCADE,
    version integer NOT NULL CHECK (version > 0),
    key_id text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, version)
);
SELECT causeway.enable_workspace_policy('workspace_keys');

-- Names sort by their bytes, as in every other store. A key version cannot go while something lies under it.
CREATE TABLE secrets (
    workspace_id uuid NOT NULL REFERENCES workspaces (workspace_id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('connector', 'webhook', 'llm_provider', 'custom')),
    version integer NOT NULL CHECK (version > 0),
    key_version integer NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, name),
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, key_version) REFERENCES workspace_keys (workspace_id, version)
);
CREATE INDEX secrets_by_key ON secrets (workspace_id, key_version);
SELECT causeway.enable_workspace_policy('secrets');

SELECT causeway.create_outbox();
