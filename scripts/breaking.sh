#!/usr/bin/env bash
# Compares the contracts with the last ones on the main branch: a change that breaks somebody's client is an error.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

skip() {
    say "buf breaking skipped: $*"
    exit 0
}

git rev-parse --git-dir >/dev/null 2>&1 || skip "not a repository"
main=$(git rev-parse --verify --quiet origin/main || git rev-parse --verify --quiet main) || skip "there is no main branch here"
commit=$(git log -1 --format=%H "$main" -- proto)
[[ -n $commit ]] || skip "main has no contracts"
git cat-file -e "$commit:proto" 2>/dev/null || skip "the contracts of main are not in this clone"

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$commit" proto | tar -x -C "$before"
# The rules are today's, also where the older commit had none.
cp buf.yaml "$before/buf.yaml"
scripts/buf.sh breaking --against "$before"
