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
# Everything that the tests of the whole system start writes its log here.
export CAUSEWAY_TEST_LOGS=$ROOT/target/test-logs
rm -rf "$CAUSEWAY_TEST_LOGS"
mkdir -p "$CAUSEWAY_TEST_LOGS"
profile=default
[[ -z $CI ]] || profile=ci
stage "tests" scripts/services.sh run cargo nextest run --workspace --locked --profile "$profile" "$@"
# Some of the tests leave too little to scan.
[[ $# -gt 0 ]] || stage "secrets in the logs" scripts/scan_logs.sh "$CAUSEWAY_TEST_LOGS"
stage "examples in the documentation" cargo test --workspace --locked --doc --quiet
