-- RLS-10: below a policy an index is used only if its operators are leakproof. Enums, numerics, ranges, full text and
-- LIKE are not: such an index is dead weight, and the query a scan of the whole workspace.
WITH input AS (
    SELECT $1::text[] AS schemas, $2::text[] AS unscoped
)
SELECT DISTINCT 'RLS-10' AS rule,
       n.nspname || '.' || x.relname AS subject,
       format('the operators of %s are not leakproof, so row-level security keeps the index from being used', o.opcname)
           AS message
FROM input
JOIN pg_namespace n ON n.nspname = ANY (input.schemas)
JOIN pg_class t ON t.relnamespace = n.oid AND t.relrowsecurity
JOIN pg_index i ON i.indrelid = t.oid
JOIN pg_class x ON x.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indclass) AS class (oid)
JOIN pg_opclass o ON o.oid = class.oid
WHERE EXISTS (
    SELECT FROM pg_amop a
    JOIN pg_operator p ON p.oid = a.amopopr
    JOIN pg_proc f ON f.oid = p.oprcode
    WHERE a.amopfamily = o.opcfamily
      AND a.amoplefttype = o.opcintype
      AND a.amoprighttype = o.opcintype
      AND a.amoppurpose = 's'
      AND NOT f.proleakproof
)
