-- Accounts and sessions belong to persons, who may be in many workspaces: no workspace_id, no policy. The columns that
-- name a workspace are called otherwise, so that nobody takes these for tenant tables.
CREATE TABLE accounts (
    user_id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email) AND length(email) <= 254),
    password_hash text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'active')),
    home_workspace uuid NOT NULL,
    claimed_at timestamptz NOT NULL
);

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES accounts,
    workspace uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE INDEX sessions_by_user ON sessions (user_id, opened_at);

CREATE TABLE refresh_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

CREATE TABLE tokens (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    last_four text NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX tokens_by_user ON tokens (workspace_id, user_id, id);
SELECT causeway.enable_workspace_policy('tokens');

-- Where a token lies. A secret does not say its workspace, so this is looked up before there is one; it holds nothing
-- else than that.
CREATE TABLE token_index (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    workspace uuid NOT NULL,
    token_id uuid NOT NULL,
    FOREIGN KEY (workspace, token_id) REFERENCES tokens (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX token_index_by_token ON token_index (workspace, token_id);

SELECT causeway.create_outbox();
