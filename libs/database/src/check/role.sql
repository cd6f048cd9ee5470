-- RLS-01: the role that the service connects as owns nothing and bypasses nothing.
WITH me AS (
    SELECT r.* FROM pg_roles r WHERE r.rolname IN (current_user, session_user)
),
power AS (
    SELECT r.oid, r.rolname FROM pg_roles r
    WHERE (r.rolsuper OR r.rolbypassrls) AND r.rolname NOT IN (SELECT rolname FROM me)
),
input AS (
    SELECT $1::text[] AS schemas, $2::text[] AS unscoped
)
SELECT 'RLS-01' AS rule, me.rolname::text AS subject, found.message
FROM me CROSS JOIN input CROSS JOIN LATERAL (
    SELECT 'is a superuser' AS message WHERE me.rolsuper
    UNION ALL
    SELECT 'may bypass row-level security' WHERE me.rolbypassrls
    UNION ALL
    SELECT 'has row_security turned off' WHERE current_setting('row_security') <> 'on'
    UNION ALL
    SELECT format('may become %s, which bypasses row-level security', power.rolname)
    FROM power
    WHERE NOT me.rolsuper AND pg_has_role(me.oid, power.oid, 'MEMBER')
    UNION ALL
    SELECT format('owns or may become the owner of %s', string_agg(c.oid::regclass::text, ', ' ORDER BY c.relname))
    FROM pg_class c
    WHERE c.relnamespace IN (SELECT n.oid FROM pg_namespace n WHERE n.nspname = ANY (input.schemas))
      AND c.relkind IN ('r', 'p', 'v', 'm')
      AND NOT me.rolsuper
      AND pg_has_role(me.oid, c.relowner, 'MEMBER')
    HAVING count(*) > 0
) AS found
