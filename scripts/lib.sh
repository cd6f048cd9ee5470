# shellcheck shell=bash
# What the scripts share. Source it; it changes nothing by itself.

# shellcheck disable=SC2034 # used by those who source this
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# `cargo install` puts programs here, which is not on everybody's PATH.
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
# npm and git may not wait for an answer that nobody gives.
export PATH npm_config_yes=true GIT_TERMINAL_PROMPT=0
CI=${CI-}

have() {
    command -v "$1" >/dev/null 2>&1
}

say() {
    printf '\033[1m==> %s\033[0m\n' "$*" >&2
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# stage NAME COMMAND...: runs the command and remembers how long it took. The first failure ends the script.
STAGES=()
stage() {
    local name=$1 started=$SECONDS
    shift
    say "$name"
    "$@"
    STAGES+=("$(printf '%5d s  %s' $((SECONDS - started)) "$name")")
}

# The times of the stages so far, also after a failure.
report_stages() {
    local code=$?
    [[ ${#STAGES[@]} -eq 0 ]] || printf '%s\n' "${STAGES[@]}" >&2
    printf '%5d s  in all, %s\n' "$SECONDS" "$([[ $code -eq 0 ]] && echo passed || echo "FAILED ($code)")" >&2
    return "$code"
}

# fresh STAMP FILE...: whether STAMP was made from the present content of the files.
fresh() {
    local stamp=$1
    shift
    [[ -f $stamp && $(cat "$stamp") == "$(cat "$@" | cksum)" ]]
}

# mark STAMP FILE...
mark() {
    local stamp=$1
    shift
    cat "$@" | cksum >"$stamp"
}
