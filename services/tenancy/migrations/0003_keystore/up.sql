-- Data keys move into a schema with backups of its own. Until now one ring served both what is stored here and what the
-- crypto API sealed, so its keys are in both from now on; of what comes later, each ring has its own.
ALTER TABLE secrets DROP CONSTRAINT secrets_workspace_id_key_version_fkey;

DO $$
DECLARE
    one uuid;
BEGIN
    -- The policies bind the owner as well: the workspaces are read past theirs, the keys move inside each.
    ALTER TABLE workspaces NO FORCE ROW LEVEL SECURITY;
    FOR one IN SELECT workspace_id FROM workspaces LOOP
        PERFORM set_config('app.workspace_id', one::text, true);
        IF EXISTS (SELECT FROM workspace_keys WHERE workspace_id = one) THEN
            INSERT INTO keystore.workspace_keys
                    (workspace_id, ring, version, state, key_id, wrapped, created_at)
                SELECT workspace_id, ring, version,
                    CASE WHEN version = max(version) OVER () THEN 'active' ELSE 'decrypt_only' END,
                    key_id, wrapped, created_at
                FROM workspace_keys CROSS JOIN unnest(ARRAY['data', 'transit']) AS ring
                WHERE workspace_id = one;
            INSERT INTO keystore.keyed_workspaces (workspace) VALUES (one) ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
    PERFORM set_config('app.workspace_id', '', true);
    ALTER TABLE workspaces FORCE ROW LEVEL SECURITY;
END
$$;

DROP TABLE workspace_keys;

ALTER TABLE secrets ALTER COLUMN sealed TYPE causeway.envelope;
SELECT causeway.create_key_fences();
SELECT causeway.fence_sealed('secrets');
