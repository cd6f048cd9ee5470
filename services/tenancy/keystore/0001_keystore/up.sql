-- Wrapped data keys, in a schema of their own: it is backed up apart from the rest and not kept for as long, so that what
-- was destroyed does not come back with an old backup (ERA-02). Hence no foreign key leads out of here. A row is never
-- deleted: a destroyed version stays as the mark that it was, and its number is not used again.
CREATE TABLE workspace_keys (
    workspace_id uuid NOT NULL,
    ring text NOT NULL CHECK (ring IN ('data', 'transit')),
    version integer NOT NULL CHECK (version > 0),
    state text NOT NULL CHECK (state IN ('pending', 'active', 'decrypt_only', 'retiring', 'destroyed')),
    key_id text,
    wrapped bytea,
    created_at timestamptz NOT NULL,
    destroyed_at timestamptz,
    PRIMARY KEY (workspace_id, ring, version),
    CHECK ((state = 'destroyed') = (wrapped IS NULL)),
    CHECK ((wrapped IS NULL) = (key_id IS NULL)),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE UNIQUE INDEX workspace_keys_one_active ON workspace_keys (workspace_id, ring) WHERE state = 'active';
SELECT causeway.enable_workspace_policy('workspace_keys');

-- Which workspaces have keys: what wraps them anew goes through all of them. It holds ids only.
CREATE TABLE keyed_workspaces (
    workspace uuid NOT NULL PRIMARY KEY
);

CREATE TABLE rotations (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    ring text NOT NULL CHECK (ring IN ('data', 'transit')),
    from_version integer NOT NULL CHECK (from_version >= 0),
    to_version integer NOT NULL CHECK (to_version > from_version),
    keep_previous boolean NOT NULL,
    step text NOT NULL CHECK (
        step IN ('beginning', 'reencrypting', 'fencing', 'verifying', 'retiring', 'succeeded', 'incomplete')),
    -- Where the pass over all holders is, and what it has done: written as a whole by who has the lease.
    progress jsonb NOT NULL,
    proof jsonb NOT NULL,
    destroyed integer[] NOT NULL,
    requester jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (workspace_id, id),
    CHECK ((step IN ('succeeded', 'incomplete')) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX rotations_one_running ON rotations (workspace_id) WHERE finished_at IS NULL;
CREATE INDEX rotations_by_time ON rotations (workspace_id, started_at, id);
SELECT causeway.enable_workspace_policy('rotations');

-- Rows that no key opens, by the rotation that found them (ROT-03).
CREATE TABLE rotation_failures (
    workspace_id uuid NOT NULL,
    rotation uuid NOT NULL,
    table_name text NOT NULL,
    row_key text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (workspace_id, rotation, table_name, row_key),
    FOREIGN KEY (workspace_id, rotation) REFERENCES rotations (workspace_id, id) ON DELETE CASCADE
);
SELECT causeway.enable_workspace_policy('rotation_failures');

-- The rotations that are not at their end, and which process works on each. It holds ids only.
CREATE TABLE rotation_leases (
    workspace uuid NOT NULL PRIMARY KEY,
    rotation uuid NOT NULL,
    token uuid NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX rotation_leases_by_end ON rotation_leases (expires_at);

-- The keys of many workspaces, each read inside of itself: the policy holds, as it does for everybody.
CREATE FUNCTION wrapped_keys_of(workspaces uuid[]) RETURNS SETOF workspace_keys LANGUAGE plpgsql AS $$
DECLARE
    one uuid;
BEGIN
    FOREACH one IN ARRAY workspaces LOOP
        PERFORM set_config('app.workspace_id', one::text, true);
        RETURN QUERY SELECT * FROM keystore.workspace_keys WHERE workspace_id = one;
    END LOOP;
    PERFORM set_config('app.workspace_id', '', true);
END
$$;

COMMENT ON FUNCTION wrapped_keys_of(uuid[]) IS 'causeway: walks workspaces';

-- Replaces wrapped keys that are still what they were, each inside of its workspace; answers how many.
CREATE FUNCTION rewrap_keys(
    workspaces uuid[], rings text[], versions integer[], before bytea[], ids text[], after bytea[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    replaced bigint := 0;
    touched bigint;
BEGIN
    FOR i IN 1 .. coalesce(array_length(workspaces, 1), 0) LOOP
        PERFORM set_config('app.workspace_id', workspaces[i]::text, true);
        UPDATE keystore.workspace_keys SET key_id = ids[i], wrapped = after[i]
            WHERE workspace_id = workspaces[i] AND ring = rings[i] AND version = versions[i]
                AND wrapped = before[i];
        GET DIAGNOSTICS touched = ROW_COUNT;
        replaced := replaced + touched;
    END LOOP;
    PERFORM set_config('app.workspace_id', '', true);
    RETURN replaced;
END
$$;
COMMENT ON FUNCTION rewrap_keys(uuid[], text[], integer[], bytea[], text[], bytea[]) IS 'causeway: walks workspaces';

SELECT causeway.create_outbox();
