#!/bin/sh
# Runs once, when the data volume is empty. Two roles besides the superuser, because row-level security does not bind a
# superuser, and does bind an owner only while the owner leaves it on:
#   causeway_owner   owns the schemas; used by `causeway db migrate` alone
#   causeway_app     what the services connect as; owns nothing, bypasses nothing
set -eu

psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres \
    -v owner_password="$DATABASE_OWNER_PASSWORD" -v app_password="$DATABASE_APP_PASSWORD" <<'SQL'
CREATE ROLE causeway_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE causeway_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'app_password';
CREATE DATABASE causeway OWNER causeway_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE causeway FROM PUBLIC;
GRANT CONNECT ON DATABASE causeway TO causeway_app;
\connect causeway
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL
