-- RLS-10: below a policy an index is used only if its operators, and every function in its expressions, are leakproof.
-- Enums, numerics, ranges, full text, LIKE and lower() are not: such an index is dead weight, and the query a scan of the
-- whole workspace. A declared one serves a SECURITY DEFINER function, which no policy binds.
WITH input AS (
    SELECT $1::text[] AS schemas, $2::text[] AS unscoped
),
indexes AS (
    SELECT i.*, n.nspname || '.' || x.relname AS name
    FROM input
    JOIN pg_namespace n ON n.nspname = ANY (input.schemas)
    JOIN pg_class t ON t.relnamespace = n.oid
    JOIN pg_index i ON i.indrelid = t.oid
    JOIN pg_class x ON x.oid = i.indexrelid
    WHERE (t.relrowsecurity
           OR EXISTS (SELECT FROM pg_attribute a
                      WHERE a.attrelid = t.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped))
      AND coalesce(obj_description(x.oid, 'pg_class'), '') <> 'causeway: not below a policy'
)
SELECT DISTINCT 'RLS-10' AS rule, i.name AS subject,
       format('the operators of %s are not leakproof, so row-level security keeps the index from being used', o.opcname)
           AS message
FROM indexes i
CROSS JOIN LATERAL unnest(i.indclass) AS class (oid)
JOIN pg_opclass o ON o.oid = class.oid
JOIN pg_am m ON m.oid = o.opcmethod
WHERE EXISTS (
    SELECT FROM pg_amop a
    JOIN pg_operator p ON p.oid = a.amopopr
    JOIN pg_proc f ON f.oid = p.oprcode
    WHERE a.amopfamily = o.opcfamily
      AND a.amoplefttype = o.opcintype
      -- A date is sought by dates, but a tsvector by a tsquery.
      AND (a.amoprighttype = o.opcintype OR m.amname IN ('gin', 'gist', 'spgist'))
      AND a.amoppurpose = 's'
      AND NOT f.proleakproof
)
UNION ALL
SELECT 'RLS-10', i.name, 'is over an expression, whose functions row-level security does not trust'
FROM indexes i
WHERE i.indexprs IS NOT NULL
