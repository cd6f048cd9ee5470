-- Roles that a workspace made. Permissions lie by name: the catalogue never gives a name twice.
CREATE TABLE roles (
    workspace_id uuid NOT NULL REFERENCES workspaces (workspace_id) ON DELETE CASCADE,
    id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 60),
    name_key text COLLATE "C" NOT NULL,
    permissions text[] NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, name_key)
);
SELECT causeway.enable_workspace_policy('roles');

-- A role that somebody has cannot go.
ALTER TABLE members
    DROP CONSTRAINT members_role_check,
    ADD COLUMN custom_role uuid,
    ADD CONSTRAINT members_role_check CHECK (
        role IN ('owner', 'admin', 'editor', 'viewer', 'custom') AND (role = 'custom') = (custom_role IS NOT NULL)),
    ADD CONSTRAINT members_custom_role FOREIGN KEY (workspace_id, custom_role) REFERENCES roles (workspace_id, id);
CREATE INDEX members_by_custom_role ON members (workspace_id, custom_role);

ALTER TABLE invitations
    DROP CONSTRAINT invitations_role_check,
    ADD COLUMN custom_role uuid,
    ADD CONSTRAINT invitations_role_check CHECK (
        role IN ('owner', 'admin', 'editor', 'viewer', 'custom') AND (role = 'custom') = (custom_role IS NOT NULL)),
    ADD CONSTRAINT invitations_custom_role FOREIGN KEY (workspace_id, custom_role) REFERENCES roles (workspace_id, id);
CREATE INDEX invitations_by_custom_role ON invitations (workspace_id, custom_role);

-- A changed role ends the access tokens that say the old one.
ALTER TABLE revocations
    DROP CONSTRAINT revocations_kind_check,
    ADD CONSTRAINT revocations_kind_check
        CHECK (kind IN ('session', 'user', 'member', 'client', 'token', 'workspace', 'role'));
