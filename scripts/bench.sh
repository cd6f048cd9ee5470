#!/usr/bin/env bash
# What cryptography costs beside its bare primitives, and what the gateway costs: builds the release program, starts it,
# calls the same RPCs through the gateway and past it, and prints the comparison. docs/benchmarks.md says how to read it.
# Needs Linux: CPU times are read from /proc.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

[[ -r /proc/self/stat ]] || die "CPU times are read from /proc, which only Linux has"

say "building the release program"
cargo build --release --locked -p causeway -p causeway-bench
say "CPU time of envelopes and tokens, beside that of their primitives"
cargo bench --quiet --locked -p causeway-crypto --bench cpu
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
release=${CARGO_TARGET_DIR:-target}/release
"$release/causeway-bench" "$commit"

say "what verifying an access token costs: in process, at the door, and beside a flood of logins"
"$release/causeway-bench-verify"

say "what a client-credentials grant costs, beside the signing of its token"
"$release/causeway-bench-grants"

say "what a refresh and a login cost, on a PostgreSQL of its own that keeps what it commits, beside pgbench and argon2id"
env CAUSEWAY_SERVICES_DURABLE=1 scripts/services.sh run "$release/causeway-bench-refreshes"

say "what row-level security costs, on a PostgreSQL of its own that keeps what it commits"
env CAUSEWAY_SERVICES_DURABLE=1 scripts/services.sh run "$release/causeway-bench-database"

say "what a rotation of 100,000 rows costs those who call meanwhile, and another master key for as many data keys"
env CAUSEWAY_SERVICES_DURABLE=1 scripts/services.sh run "$release/causeway-bench-rotation"
