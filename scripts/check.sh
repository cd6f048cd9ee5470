#!/usr/bin/env bash
# Everything that can be said of the source without running it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$ROOT"
trap report_stages EXIT

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
}

shell_scripts() {
    if ! have shellcheck; then
        say "shellcheck is not installed: skipped"
        return
    fi
    # shellcheck disable=SC2046 # none of our scripts has a space in its name
    shellcheck -x -S warning $(find .ci scripts deploy tests -name '*.sh' -o -path .ci/run)
}

compose_file() {
    if ! docker compose version >/dev/null 2>&1; then
        say "docker compose is not installed: skipped"
        return
    fi
    local secrets=target/compose-check.env
    deploy/secrets.sh example.com >"$secrets"
    docker compose --env-file "$secrets" -f deploy/compose.yaml config --quiet
    rm "$secrets"
}

scripts/install.sh check
stage "formatting" cargo fmt --all --check
stage "contracts: lint" scripts/buf.sh lint
stage "contracts: format" scripts/buf.sh format --diff --exit-code
stage "contracts: breaking changes" scripts/breaking.sh
stage "shell scripts" shell_scripts
stage "compose file" compose_file
stage "unused dependencies" cargo machete
stage "licences, bans, sources" cargo deny --locked check bans licenses sources
stage "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
stage "documentation" documentation
