#!/usr/bin/env bash
# Every test, with the servers and the independent clients that they need: scripts/test.sh [nextest arguments]
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$ROOT"
trap report_stages EXIT

scripts/install.sh test
stage "independent clients" scripts/clients.sh install

# Here a test that lacks its server or its client fails; run by hand without them it says that it was skipped.
export CAUSEWAY_TEST_CLIENTS=required
profile=default
[[ -z $CI ]] || profile=ci
stage "tests" scripts/services.sh run cargo nextest run --workspace --locked --profile "$profile" "$@"
stage "examples in the documentation" cargo test --workspace --locked --doc --quiet
