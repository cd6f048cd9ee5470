-- API keys are tokens of a workspace: `user_id` is then the person who granted their scopes.
ALTER TABLE tokens ADD COLUMN kind text NOT NULL DEFAULT 'personal' CHECK (kind IN ('personal', 'key'));
ALTER TABLE tokens ALTER COLUMN kind DROP DEFAULT;
CREATE INDEX tokens_by_kind ON tokens (workspace_id, kind, id);

-- What a stored hash is made with. What was stored before has no pepper.
ALTER TABLE token_index
    ADD COLUMN scheme text NOT NULL DEFAULT 'sha256' CHECK (scheme IN ('sha256', 'hmac-sha256')),
    ADD COLUMN pepper_id text,
    ADD CONSTRAINT token_index_pepper CHECK ((scheme = 'hmac-sha256') = (pepper_id IS NOT NULL));
ALTER TABLE token_index ALTER COLUMN scheme DROP DEFAULT;

CREATE TABLE clients (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    scopes text[] NOT NULL,
    grants text[] NOT NULL,
    disabled boolean NOT NULL,
    granted_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    revision bigint NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
SELECT causeway.enable_workspace_policy('clients');

CREATE TABLE client_secrets (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    client_id uuid NOT NULL,
    scheme text NOT NULL CHECK (scheme IN ('sha256', 'hmac-sha256')),
    pepper_id text,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    last_four text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, client_id) REFERENCES clients (workspace_id, id) ON DELETE CASCADE,
    CHECK ((scheme = 'hmac-sha256') = (pepper_id IS NOT NULL))
);
CREATE INDEX client_secrets_by_client ON client_secrets (workspace_id, client_id);
SELECT causeway.enable_workspace_policy('client_secrets');

-- Where a client lies. Its id does not say its workspace, so this is looked up before there is one.
CREATE TABLE client_index (
    client_id uuid PRIMARY KEY,
    workspace uuid NOT NULL,
    FOREIGN KEY (workspace, client_id) REFERENCES clients (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX client_index_by_workspace ON client_index (workspace, client_id);

-- Access tokens that were revoked, by the machine's credential on which they hang. A row is of no use after the token's
-- own end.
CREATE TABLE revoked_access_tokens (
    workspace_id uuid NOT NULL,
    jti text NOT NULL CHECK (length(jti) BETWEEN 1 AND 64),
    credential text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, jti)
);
CREATE INDEX revoked_access_tokens_by_credential ON revoked_access_tokens (workspace_id, credential, expires_at);
SELECT causeway.enable_workspace_policy('revoked_access_tokens');
