#!/usr/bin/env bash
# The pinned buf: scripts/buf.sh ARGUMENTS... It is installed into target/ on first use.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

home="$ROOT/target/tools/buf"
sources=("$ROOT/tools/buf/package.json" "$ROOT/tools/buf/package-lock.json" "$ROOT/tools/buf/.npmrc")

if ! fresh "$home/stamp" "${sources[@]}"; then
    mkdir -p "$home"
    cp "${sources[@]}" "$home"
    npm ci --prefix "$home" --silent >&2
    mark "$home/stamp" "${sources[@]}"
fi
exec "$home/node_modules/.bin/buf" "$@"
