-- Finds another owner before one goes.
CREATE INDEX members_by_role ON members (workspace_id, role);

-- Open invitations. One that was accepted or revoked is gone, and so is one whose writer is no longer a member.
CREATE TABLE invitations (
    workspace_id uuid NOT NULL REFERENCES workspaces (workspace_id) ON DELETE CASCADE,
    id uuid NOT NULL,
    email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
    invited_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, email),
    FOREIGN KEY (workspace_id, invited_by) REFERENCES members (workspace_id, user_id) ON DELETE CASCADE
);
CREATE INDEX invitations_by_time ON invitations (workspace_id, created_at, id);
CREATE INDEX invitations_by_writer ON invitations (workspace_id, invited_by);
SELECT causeway.enable_workspace_policy('invitations');

-- To which invitation a secret belongs: asked by a person who is not in the workspace yet. It holds hashes and ids only.
CREATE TABLE invitation_index (
    secret_hash bytea NOT NULL PRIMARY KEY CHECK (octet_length(secret_hash) = 32),
    workspace uuid NOT NULL,
    invitation uuid NOT NULL,
    UNIQUE (workspace, invitation),
    FOREIGN KEY (workspace, invitation) REFERENCES invitations (workspace_id, id) ON DELETE CASCADE
);

-- What a workspace decided for itself; without a row everything is as it comes. The region is the workspace's own.
CREATE TABLE settings (
    workspace_id uuid NOT NULL PRIMARY KEY REFERENCES workspaces (workspace_id) ON DELETE CASCADE,
    ai_provider text,
    ai_model text,
    ai_base_url text,
    ai_api_key_secret text,
    mfa_policy text NOT NULL CHECK (mfa_policy IN ('optional', 'required')),
    retention_days integer NOT NULL CHECK (retention_days BETWEEN 0 AND 3650),
    rate_tier text NOT NULL CHECK (rate_tier IN ('free', 'standard', 'enterprise', 'unlimited')),
    updated_at timestamptz NOT NULL,
    CHECK (ai_provider IS NOT NULL OR (ai_model IS NULL AND ai_base_url IS NULL AND ai_api_key_secret IS NULL))
);
SELECT causeway.enable_workspace_policy('settings');
