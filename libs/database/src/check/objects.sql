-- RLS-07, RLS-09: nothing else leads past the policies.
WITH input AS (
    SELECT $1::text[] AS schemas, $2::text[] AS unscoped
),
spaces AS (
    SELECT n.oid, n.nspname FROM input JOIN pg_namespace n ON n.nspname = ANY (input.schemas)
),
relations AS (
    SELECT c.oid, s.nspname || '.' || c.relname AS name, c.relkind, c.reloptions
    FROM spaces s JOIN pg_class c ON c.relnamespace = s.oid
),
me AS (
    SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user AND NOT r.rolsuper
)
SELECT 'RLS-07' AS rule, r.name AS subject, 'is a view without security_invoker' AS message
FROM relations r
WHERE r.relkind = 'v'
  AND NOT coalesce(r.reloptions && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false)
UNION ALL
SELECT 'RLS-07', r.name, 'is a materialized view, which no policy covers'
FROM relations r WHERE r.relkind = 'm'
UNION ALL
SELECT 'RLS-07', s.nspname || '.' || p.proname, 'is a SECURITY DEFINER function'
FROM spaces s JOIN pg_proc p ON p.pronamespace = s.oid WHERE p.prosecdef
UNION ALL
SELECT 'RLS-09', r.name, format('the service may %s', privilege.name)
FROM relations r
CROSS JOIN me
CROSS JOIN (VALUES ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) AS privilege (name)
WHERE r.relkind IN ('r', 'p') AND has_table_privilege(me.oid, r.oid, privilege.name)
UNION ALL
SELECT 'RLS-01', s.nspname, 'the service may create objects in the schema'
FROM spaces s CROSS JOIN me WHERE has_schema_privilege(me.oid, s.oid, 'CREATE')
