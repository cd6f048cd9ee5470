#!/usr/bin/env bash
# What the gateway costs: builds the release program, starts it, calls the same RPCs through the gateway and past it,
# and prints the comparison. docs/benchmarks.md says how to read it. Needs Linux: CPU times are read from /proc.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

[[ -r /proc/self/stat ]] || die "CPU times are read from /proc, which only Linux has"

say "building the release program"
cargo build --release --locked -p causeway -p causeway-bench
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
exec "${CARGO_TARGET_DIR:-target}/release/causeway-bench" "$commit"
