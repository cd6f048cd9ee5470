-- What persons are in workspaces, each read inside of the workspace: the policies hold, as they do for everybody, and one
-- round trip serves all who refresh a session at the same time.
CREATE FUNCTION memberships_of(workspaces uuid[], users uuid[])
    RETURNS TABLE (
        place integer, name text, region text, created_at timestamptz, updated_at timestamptz,
        role text, custom_role uuid, joined_at timestamptz, mfa_policy text, permissions text[])
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    before text := current_setting('app.workspace_id', true);
BEGIN
    FOR i IN 1 .. coalesce(array_length(workspaces, 1), 0) LOOP
        PERFORM set_config('app.workspace_id', workspaces[i]::text, true);
        RETURN QUERY
            SELECT i, w.name, w.region, w.created_at, w.updated_at, m.role, m.custom_role, m.joined_at,
                   s.mfa_policy, r.permissions
            FROM tenancy.workspaces w
            JOIN tenancy.members m ON m.workspace_id = w.workspace_id
            LEFT JOIN tenancy.settings s ON s.workspace_id = w.workspace_id
            LEFT JOIN tenancy.roles r ON r.workspace_id = w.workspace_id AND r.id = m.custom_role
            WHERE w.workspace_id = workspaces[i] AND m.user_id = users[i];
    END LOOP;
    PERFORM set_config('app.workspace_id', coalesce(before, ''), true);
END
$$;

COMMENT ON FUNCTION memberships_of(uuid[], uuid[]) IS 'causeway: walks workspaces';
