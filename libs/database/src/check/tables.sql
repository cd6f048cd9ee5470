-- RLS-02, RLS-03, RLS-04: every table is behind the canonical policy, or is declared as belonging to no workspace.
WITH tables AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relrowsecurity, c.relforcerowsecurity,
           a.attnum AS workspace, a.attnotnull, a.atttypid
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped
    WHERE n.nspname = ANY ($1::text[])
      AND c.relkind IN ('r', 'p')
      AND c.relname <> '__diesel_schema_migrations'
),
policies AS (
    SELECT p.polrelid, p.polname, p.polcmd, p.polpermissive, p.polroles,
           regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\s+', ' ', 'g') AS reading,
           regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\s+', ' ', 'g') AS writing,
           '(workspace_id = ( SELECT (NULLIF(current_setting(''app.workspace_id''::text, true), ''''::text))::uuid'
               || ' AS "nullif"))' AS canonical
    FROM pg_policy p
)
SELECT found.rule, t.name AS subject, found.message
FROM tables t
CROSS JOIN LATERAL (
    SELECT 'RLS-02' AS rule, 'row-level security is not enabled' AS message
    WHERE t.workspace IS NOT NULL AND NOT t.relrowsecurity
    UNION ALL
    SELECT 'RLS-02', 'row-level security is not forced upon the owner'
    WHERE t.workspace IS NOT NULL AND NOT t.relforcerowsecurity
    UNION ALL
    SELECT 'RLS-02', format('has %s policies and not the one', count(*))
    FROM policies p WHERE p.polrelid = t.oid
    HAVING t.workspace IS NOT NULL AND count(*) <> 1
    UNION ALL
    SELECT 'RLS-02', format('the policy %s does not hold for every command and every role', p.polname)
    FROM policies p
    WHERE p.polrelid = t.oid AND t.workspace IS NOT NULL
      AND NOT (p.polcmd = '*' AND p.polpermissive AND p.polroles = '{0}')
    UNION ALL
    SELECT 'RLS-02', format('the policy %s has no WITH CHECK of its own', p.polname)
    FROM policies p
    WHERE p.polrelid = t.oid AND t.workspace IS NOT NULL AND p.writing IS NULL
    UNION ALL
    SELECT 'RLS-04', format('the policy %s is not the canonical one', p.polname)
    FROM policies p
    WHERE p.polrelid = t.oid AND t.workspace IS NOT NULL
      AND (p.reading IS DISTINCT FROM p.canonical OR p.writing <> p.canonical)
    UNION ALL
    SELECT 'RLS-02', 'workspace_id is not "uuid NOT NULL"'
    WHERE t.workspace IS NOT NULL AND NOT (t.attnotnull AND t.atttypid = 'uuid'::regtype)
    UNION ALL
    SELECT 'RLS-03', 'has no workspace_id and is not declared as unscoped'
    WHERE t.workspace IS NULL AND t.name <> ALL ($2::text[])
    UNION ALL
    SELECT 'RLS-03', 'is declared as unscoped and has a workspace_id'
    WHERE t.workspace IS NOT NULL AND t.name = ANY ($2::text[])
) AS found
UNION ALL
SELECT 'RLS-03', declared.name, 'is declared as unscoped and does not exist'
FROM unnest($2::text[]) AS declared (name)
WHERE declared.name NOT IN (SELECT name FROM tables)
