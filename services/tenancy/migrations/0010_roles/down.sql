-- Members and invitations with a custom role have no place in the schema before: their people become viewers.
DELETE FROM revocations WHERE kind = 'role';
ALTER TABLE revocations
    DROP CONSTRAINT revocations_kind_check,
    ADD CONSTRAINT revocations_kind_check
        CHECK (kind IN ('session', 'user', 'member', 'client', 'token', 'workspace'));

DO $$
DECLARE
    one uuid;
BEGIN
    -- The policies bind the owner as well: the workspaces are read past theirs, the rows change inside each.
    ALTER TABLE workspaces NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE members DROP CONSTRAINT members_role_check, DROP CONSTRAINT members_custom_role;
    ALTER TABLE invitations DROP CONSTRAINT invitations_role_check, DROP CONSTRAINT invitations_custom_role;
    FOR one IN SELECT workspace_id FROM workspaces LOOP
        PERFORM set_config('app.workspace_id', one::text, true);
        UPDATE members SET role = 'viewer' WHERE workspace_id = one AND role = 'custom';
        DELETE FROM invitations WHERE workspace_id = one AND role = 'custom';
    END LOOP;
    PERFORM set_config('app.workspace_id', '', true);
    ALTER TABLE workspaces FORCE ROW LEVEL SECURITY;
END
$$;

ALTER TABLE members
    DROP COLUMN custom_role,
    ADD CONSTRAINT members_role_check CHECK (role IN ('owner', 'admin', 'editor', 'viewer'));
ALTER TABLE invitations
    DROP COLUMN custom_role,
    ADD CONSTRAINT invitations_role_check CHECK (role IN ('owner', 'admin', 'editor', 'viewer'));
DROP TABLE roles;
