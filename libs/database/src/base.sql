-- What the migrations of every service use. Run before each migration of any schema; every statement may run again.
CREATE SCHEMA IF NOT EXISTS causeway;

-- Puts a tenant table behind the one canonical policy: rows of the transaction's workspace, none without one.
-- After the first transaction of a session the setting is '' and not NULL, hence nullif.
CREATE OR REPLACE FUNCTION causeway.enable_workspace_policy(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY workspace ON %s'
        || ' USING (workspace_id = (SELECT nullif(current_setting(''app.workspace_id'', true), '''')::uuid))'
        || ' WITH CHECK (workspace_id = (SELECT nullif(current_setting(''app.workspace_id'', true), '''')::uuid))',
        target);
END
$$;

-- Puts every table of a schema that has a workspace_id behind the policy, where somebody forgot to, and answers which.
-- A table that has another policy is left to the check: a second one would only add to what the first one shows.
CREATE OR REPLACE FUNCTION causeway.enable_missing_policies(target text) RETURNS SETOF text
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT c.oid::regclass AS name, c.relname,
               EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS has_policy
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped
        WHERE c.relnamespace = to_regnamespace(quote_ident(target)) AND c.relkind IN ('r', 'p')
          AND NOT (c.relrowsecurity AND c.relforcerowsecurity
                   AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
        ORDER BY c.relname
    LOOP
        IF item.has_policy THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', item.name);
            EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', item.name);
        ELSE
            PERFORM causeway.enable_workspace_policy(item.name);
        END IF;
        RETURN NEXT target || '.' || item.relname;
    END LOOP;
END
$$;

-- Marks a table whose rows the service may add and read, and never change or delete.
CREATE OR REPLACE FUNCTION causeway.append_only(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('COMMENT ON TABLE %s IS ''causeway: append only''', target);
END
$$;

-- Declares a SECURITY DEFINER function: it reads as the owner, so it names its search_path and compares workspace_id
-- itself. The check takes no other.
CREATE OR REPLACE FUNCTION causeway.declare_definer(target regprocedure) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('COMMENT ON FUNCTION %s IS ''causeway: security definer''', target);
END
$$;

-- Declares an index that serves a declared function only: below a policy its operators would keep it from being used.
CREATE OR REPLACE FUNCTION causeway.index_of_definer(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('COMMENT ON INDEX %s IS ''causeway: not below a policy''', target);
END
$$;

-- Makes the table `outbox` of the service whose migration calls it. It has no workspace_id and no policy: the relay
-- reads across workspaces, and rows hold no secrets. `position` gives the order. A parked row is one that the audit log
-- refuses: it is kept for a person to look at.
CREATE OR REPLACE FUNCTION causeway.create_outbox() RETURNS void LANGUAGE sql AS $$
    CREATE TABLE outbox (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id uuid NOT NULL UNIQUE,
        workspace uuid NOT NULL,
        event json NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        parked_at timestamptz,
        parked_because text
    );
$$;

-- A sealed value: an envelope of causeway-crypto, which begins with its magic and is longer than what it holds. The type
-- tells sealed columns from all others, so that a test can compare them with the registry (ROT-04).
DO $$
BEGIN
    CREATE DOMAIN causeway.envelope AS bytea
        CHECK (octet_length(VALUE) >= 82 AND substring(VALUE FROM 1 FOR 4) = '\x43574556'::bytea);
EXCEPTION WHEN duplicate_object THEN
    NULL;
END
$$;

-- Makes the fences of the schema whose migration calls it: the lowest data key version that may be written in each
-- workspace (ROT-05). Every write of a sealed column locks its workspace's row until the end of its transaction, and who
-- raises the fence waits for all of them: no write under a lower version is committed later.
CREATE OR REPLACE FUNCTION causeway.create_key_fences() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    home text := current_schema();
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.key_fences ('
        || 'workspace_id uuid NOT NULL PRIMARY KEY, '
        || 'min_write_version integer NOT NULL CHECK (min_write_version >= 0))',
        home);
    EXECUTE format('SELECT causeway.enable_workspace_policy(''%I.key_fences'')', home);
    -- In each schema and not once for all, so that the plan of the query is kept.
    EXECUTE format(
        'CREATE FUNCTION %1$I.refuse_below_fence() RETURNS trigger LANGUAGE plpgsql AS $body$
        DECLARE
            lowest integer;
        BEGIN
            LOOP
                SELECT min_write_version INTO lowest FROM %1$I.key_fences
                    WHERE workspace_id = NEW.workspace_id FOR SHARE;
                EXIT WHEN FOUND;
                INSERT INTO %1$I.key_fences (workspace_id, min_write_version)
                    VALUES (NEW.workspace_id, 0) ON CONFLICT DO NOTHING;
            END LOOP;
            IF NEW.key_version < lowest THEN
                RAISE EXCEPTION ''the data key version may not be written any more''
                    USING ERRCODE = ''check_violation'', CONSTRAINT = ''key_fence'';
            END IF;
            RETURN NEW;
        END
        $body$',
        home);
END
$$;

-- Puts a table with a column of the type causeway.envelope and a column key_version behind the fences of its schema.
CREATE OR REPLACE FUNCTION causeway.fence_sealed(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    sealed text;
    home name;
BEGIN
    SELECT string_agg(quote_ident(a.attname), ', ') INTO STRICT sealed
        FROM pg_attribute a
        WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
            AND a.atttypid = 'causeway.envelope'::regtype;
    IF sealed IS NULL THEN
        RAISE EXCEPTION '% has no column of the type causeway.envelope', target;
    END IF;
    SELECT n.nspname INTO STRICT home
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    EXECUTE format(
        'CREATE TRIGGER key_fence BEFORE INSERT OR UPDATE OF key_version, %s ON %s'
        || ' FOR EACH ROW EXECUTE FUNCTION %I.refuse_below_fence()',
        sealed, target, home);
END
$$;

-- Makes the table `erasures_applied` of a service that holds tenants' data: the tombstones whose erasure was carried out
-- here, each written in the transaction that erased. A restored database shows by it what it misses. It has no policy:
-- it is asked for workspaces that are gone.
CREATE OR REPLACE FUNCTION causeway.create_erasures_applied() RETURNS void LANGUAGE sql AS $$
    CREATE TABLE erasures_applied (
        tombstone bigint PRIMARY KEY,
        workspace uuid NOT NULL,
        subject uuid,
        erased json NOT NULL,
        leavers uuid[] NOT NULL,
        applied_at timestamptz NOT NULL
    );
    CREATE INDEX erasures_applied_by_workspace ON erasures_applied (workspace, subject);
$$;

-- The trigger of causeway.refuse_erased: `TG_ARGV[0]` is the column with the workspace. Who erases a workspace takes the
-- same lock for itself: it waits for those who write into it now, and those to come wait for it.
CREATE OR REPLACE FUNCTION causeway.refuse_erased_row() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    target uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
    gone boolean;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7206914, hashtext(target::text));
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %I.erasures_applied WHERE workspace = $1 AND subject IS NULL)', TG_TABLE_SCHEMA)
        INTO gone USING target;
    IF gone THEN
        RAISE EXCEPTION 'the workspace is erased' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END
$$;

-- Refuses new rows of a workspace that was erased, for tables that no foreign key ties to the workspace.
CREATE OR REPLACE FUNCTION causeway.refuse_erased(target regclass, workspace_column text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER refuse_erased BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION causeway.refuse_erased_row(%L)',
        target, workspace_column);
END
$$;

-- Makes the table `revocations` of the service whose migration calls it: credentials that ended before their time, for
-- the gateways. Ids and times only, for as long as the longest access token lives; no workspace_id and no policy, as a
-- gateway asks for all of them. `written_by` lets a reader know which rows may still commit below those that it has seen.
CREATE OR REPLACE FUNCTION causeway.create_revocations() RETURNS void LANGUAGE sql AS $$
    CREATE TABLE revocations (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        written_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
        kind text NOT NULL CHECK (kind IN ('session', 'user', 'member', 'client', 'token', 'workspace', 'role')),
        subject uuid NOT NULL,
        workspace uuid CHECK ((kind = 'member') = (workspace IS NOT NULL)),
        valid_after timestamptz,
        expires_at timestamptz NOT NULL
    );
    CREATE INDEX revocations_by_writer ON revocations (written_by, position);
    CREATE INDEX revocations_by_end ON revocations (expires_at);
$$;

-- What the service's role may do in a schema: rows, and nothing else. TRUNCATE would pass by the policies.
CREATE OR REPLACE FUNCTION causeway.grant_service(target text, service text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    item record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', target, service);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', target, service);
    FOR item IN
        SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), '') = 'causeway: append only' AS append_only
        FROM pg_class c
        WHERE c.relnamespace = to_regnamespace(quote_ident(target)) AND c.relkind IN ('r', 'p', 'v')
    LOOP
        EXECUTE format('REVOKE ALL ON %I.%I FROM %I', target, item.relname, service);
        EXECUTE format(
            'GRANT %s ON %I.%I TO %I',
            CASE
                WHEN item.relname = '__diesel_schema_migrations' THEN 'SELECT'
                WHEN item.append_only THEN 'SELECT, INSERT'
                ELSE 'SELECT, INSERT, UPDATE, DELETE'
            END,
            target, item.relname, service);
    END LOOP;
END
$$;
