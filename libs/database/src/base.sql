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

-- Marks a table whose rows the service may add and read, and never change or delete.
CREATE OR REPLACE FUNCTION causeway.append_only(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('COMMENT ON TABLE %s IS ''causeway: append only''', target);
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
