#!/bin/sh
# Runs once, when the data volume is empty. Three roles besides the superuser, because row-level security does not bind a
# superuser, and does bind an owner only while the owner leaves it on:
#   causeway_owner   owns the schemas; used by `causeway db migrate` alone
#   causeway_app     what the services connect as; owns nothing, bypasses nothing
#   causeway_worker  maintenance through all workspaces, one by one; the same rights, and what it changes is in the
#                    server's log under its name
set -eu

psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres \
    -v owner_password="$DATABASE_OWNER_PASSWORD" -v app_password="$DATABASE_APP_PASSWORD" \
    -v worker_password="$DATABASE_WORKER_PASSWORD" <<'SQL'
CREATE ROLE causeway_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE causeway_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'app_password';
CREATE ROLE causeway_worker LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'worker_password';
-- Statements with their placeholders, without the values.
ALTER ROLE causeway_worker SET log_statement = 'mod';
ALTER ROLE causeway_worker SET log_parameter_max_length = 0;
CREATE DATABASE causeway OWNER causeway_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE causeway FROM PUBLIC;
GRANT CONNECT ON DATABASE causeway TO causeway_app, causeway_worker;
\connect causeway
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL
