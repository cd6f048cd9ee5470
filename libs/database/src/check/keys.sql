-- RLS-02, RLS-08: workspace_id comes first in the keys of tenant tables. Unique and foreign keys look past the
-- policies, so a key without it would show, or take, another workspace's rows.
WITH input AS (
    SELECT $1::text[] AS schemas, $2::text[] AS unscoped
),
tables AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name, a.attnum AS workspace
    FROM input
    JOIN pg_namespace n ON n.nspname = ANY (input.schemas)
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped
),
tenant AS (
    SELECT * FROM tables WHERE workspace IS NOT NULL
)
SELECT 'RLS-02' AS rule, t.name AS subject, 'has no primary key' AS message
FROM tenant t
WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary)
UNION ALL
SELECT 'RLS-02', t.name, 'has no index that begins with workspace_id'
FROM tenant t
WHERE NOT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = t.workspace)
UNION ALL
SELECT 'RLS-02', t.name, format('workspace_id is not first in the unique index %s', c.relname)
FROM tenant t
JOIN pg_index i ON i.indrelid = t.oid AND (i.indisunique OR i.indisexclusion)
JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indkey[0] <> t.workspace
UNION ALL
SELECT 'RLS-08', child.name,
       format('the foreign key %s does not begin with the workspace on both sides', k.conname)
FROM tables child
JOIN pg_constraint k ON k.conrelid = child.oid AND k.contype = 'f'
JOIN tenant parent ON parent.oid = k.confrelid
WHERE k.confkey[1] <> parent.workspace OR k.conkey[1] <> coalesce(child.workspace, k.conkey[1])
