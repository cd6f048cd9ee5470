-- RLS-05, RLS-07, RLS-09, RLS-11: nothing else leads past the policies.
WITH input AS (
    SELECT $1::text[] AS schemas, $2::text[] AS unscoped
),
me AS (
    SELECT r.oid, r.rolname FROM pg_roles r WHERE r.rolname IN (current_user, session_user) AND NOT r.rolsuper
),
spaces AS (
    SELECT n.oid, n.nspname, n.nspname = ANY (input.schemas) AS ours
    FROM pg_namespace n CROSS JOIN input
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
),
relations AS (
    SELECT c.oid, s.nspname || '.' || c.relname AS name, c.relkind, c.reloptions, s.ours
    FROM spaces s JOIN pg_class c ON c.relnamespace = s.oid
),
-- Our own, and those elsewhere that read ours.
views AS (
    SELECT r.*
    FROM relations r
    WHERE r.relkind IN ('v', 'm')
      AND (r.ours OR EXISTS (
          SELECT FROM pg_rewrite w
          JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.oid
          JOIN relations below ON below.oid = d.refobjid AND below.ours
          WHERE w.ev_class = r.oid))
),
functions AS (
    SELECT p.oid, s.nspname || '.' || p.proname AS name, p.prosecdef, p.proconfig, s.ours, p.prokind,
           coalesce(obj_description(p.oid, 'pg_proc'), '') = 'causeway: security definer' AS declared
    FROM spaces s JOIN pg_proc p ON p.pronamespace = s.oid
    WHERE NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
)
SELECT 'RLS-07' AS rule, v.name AS subject, 'is a view without security_invoker' AS message
FROM views v
WHERE v.relkind = 'v' AND NOT EXISTS (
    SELECT FROM pg_options_to_table(v.reloptions) o
    WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)
UNION ALL
SELECT 'RLS-07', v.name, 'is a materialized view, which no policy covers'
FROM views v WHERE v.relkind = 'm'
UNION ALL
SELECT 'RLS-07', r.name, 'is a foreign table, which no policy covers'
FROM relations r WHERE r.ours AND r.relkind = 'f'
UNION ALL
SELECT 'RLS-07', r.name, format('the rule %s makes other statements out of those that are sent', w.rulename)
FROM relations r JOIN pg_rewrite w ON w.ev_class = r.oid
WHERE r.ours AND r.relkind IN ('r', 'p')
UNION ALL
SELECT 'RLS-07', f.name, 'is a SECURITY DEFINER function that is not declared'
FROM functions f
WHERE f.prosecdef AND NOT f.declared
  AND (f.ours OR EXISTS (SELECT FROM me WHERE has_function_privilege(me.oid, f.oid, 'EXECUTE')))
UNION ALL
SELECT 'RLS-07', f.name, 'is a SECURITY DEFINER function without a search_path of its own'
FROM functions f
WHERE f.prosecdef AND f.declared
  AND NOT EXISTS (SELECT FROM unnest(f.proconfig) AS line WHERE line LIKE 'search\_path=%')
UNION ALL
SELECT 'RLS-05', f.name, 'sets app.workspace_id, which only the start of a transaction may'
FROM functions f
WHERE f.ours AND f.prokind IN ('f', 'p')
  -- Declared, and with the rights of who calls: each workspace's rows are read inside of it, as its policy says.
  AND (f.prosecdef OR coalesce(obj_description(f.oid, 'pg_proc'), '') <> 'causeway: walks workspaces')
  AND (pg_get_functiondef(f.oid) ~* 'set_config\s*\(\s*''app\.'
       OR pg_get_functiondef(f.oid) ~* '\mset\s+(session\s+|local\s+)?"?app"?\.')
UNION ALL
SELECT 'RLS-09', r.name, format('%s may %s', me.rolname, privilege.name)
FROM relations r
CROSS JOIN me
CROSS JOIN (VALUES ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) AS privilege (name)
WHERE r.ours AND r.relkind IN ('r', 'p') AND has_table_privilege(me.oid, r.oid, privilege.name)
UNION ALL
-- What comes with the server was made by initdb, in transaction 1; a later one marked it. Whatever is made later is not
-- ours to trust at all.
SELECT 'RLS-11', p.oid::regprocedure::text, 'was marked as leakproof, so it may run on rows that a policy hides'
FROM pg_proc p
WHERE p.proleakproof AND (p.oid >= 10000 OR p.xmin::text::bigint > 2)
