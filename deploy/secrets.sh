#!/bin/sh
# Makes every secret of deploy/compose.yaml, once:  deploy/secrets.sh example.com > deploy/.env
#
# Keep the file. The database is created with these passwords, and CAUSELOOP_MASTER_KEY opens everything that is
# stored sealed: without it a backup is worth nothing.
set -eu
umask 077

domain=${1:?usage: deploy/secrets.sh DOMAIN > deploy/.env}
echo "CAUSEWAY_DOMAIN=$domain"
for name in POSTGRES_PASSWORD DATABASE_OWNER_PASSWORD DATABASE_APP_PASSWORD DATABASE_WORKER_PASSWORD \
    JWT_SIGNING_SECRET NEXTAUTH_SECRET API_KEY_PEPPER WEBHOOK_SIGNING_SECRET INTERNAL_SERVICE_SECRET WORKER_SECRET; do
    echo "$name=$(openssl rand -hex 32)"
done
echo "CAUSELOOP_MASTER_KEY=$(openssl rand -base64 32)"
