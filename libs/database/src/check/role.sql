-- RLS-01, RLS-06: the role that the program connects as owns nothing, bypasses nothing, becomes nobody.
WITH input AS (
    SELECT $1::text[] AS schemas, $2::text[] AS unscoped
),
me AS (
    SELECT r.* FROM pg_roles r WHERE r.rolname IN (current_user, session_user)
),
spaces AS (
    SELECT n.oid, n.nspname, n.nspname = ANY (input.schemas) AS ours
    FROM pg_namespace n CROSS JOIN input
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
),
-- Roles that see rows or files past the policies, whoever is a member of them.
power AS (
    SELECT r.oid, r.rolname, 'bypasses row-level security' AS why
    FROM pg_roles r
    WHERE (r.rolsuper OR r.rolbypassrls) AND r.rolname NOT IN (SELECT rolname FROM me)
    UNION ALL
    SELECT r.oid, r.rolname, 'reaches past the grants of the tables'
    FROM pg_roles r
    WHERE r.rolname IN ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files',
                        'pg_execute_server_program')
)
SELECT 'RLS-01' AS rule, me.rolname::text AS subject, found.message
FROM me CROSS JOIN LATERAL (
    SELECT 'is a superuser' AS message WHERE me.rolsuper
    UNION ALL
    SELECT 'may bypass row-level security' WHERE me.rolbypassrls
    UNION ALL
    SELECT 'may create roles, and so become others' WHERE me.rolcreaterole AND NOT me.rolsuper
    UNION ALL
    SELECT 'may replicate, which reads every row' WHERE me.rolreplication AND NOT me.rolsuper
    UNION ALL
    SELECT 'has row_security turned off' WHERE current_setting('row_security') <> 'on'
    UNION ALL
    SELECT format('may become %s, which %s', power.rolname, power.why)
    FROM power
    WHERE NOT me.rolsuper AND pg_has_role(me.oid, power.oid, 'MEMBER')
    UNION ALL
    SELECT format('owns or may become the owner of %s',
                  string_agg(format('%I.%I', s.nspname, c.relname), ', ' ORDER BY s.nspname, c.relname))
    FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT me.rolsuper AND pg_has_role(me.oid, c.relowner, 'MEMBER')
    HAVING count(*) > 0
    UNION ALL
    SELECT format('owns or may become the owner of the schema %s', s.nspname)
    FROM spaces s JOIN pg_namespace n ON n.oid = s.oid
    WHERE s.ours AND NOT me.rolsuper AND pg_has_role(me.oid, n.nspowner, 'MEMBER')
    UNION ALL
    SELECT format('may create objects in the schema %s', s.nspname)
    FROM spaces s
    WHERE (s.ours OR s.nspname = 'public') AND NOT me.rolsuper AND has_schema_privilege(me.oid, s.oid, 'CREATE')
) AS found
UNION ALL
-- A scope that is there before a transaction sets one.
SELECT 'RLS-06', coalesce(r.rolname, d.datname, 'the server')::text, 'presets app.workspace_id'
FROM pg_db_role_setting p
LEFT JOIN pg_roles r ON r.oid = p.setrole
LEFT JOIN pg_database d ON d.oid = p.setdatabase
WHERE (p.setdatabase = 0 OR d.datname = current_database())
  AND EXISTS (SELECT FROM unnest(p.setconfig) AS line WHERE line ILIKE 'app.workspace_id=%')
