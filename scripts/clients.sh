#!/usr/bin/env bash
# The independent clients in tests/clients:
#   scripts/clients.sh install      their pinned dependencies, into target/clients
#   scripts/clients.sh run NAME     one of openai_sdk, oauth_story, grpcio_story, connect_web, buf_curl, against CAUSEWAY_URL;
#                                   authenticator, an app for second factors; or moto, a stand-in for AWS that says
#                                   on which free port it listens; or clerk, a judge of Clerk's session tokens; or cedar,
#                                   which decides by policies what it is asked on its standard input;
#                                   or oidc_provider, at which people sign in
#
# `run` exits 69 when the clients are not installed, so that a test can tell that from a failure.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

UNAVAILABLE=69
from="$ROOT/tests/clients"
home="$ROOT/target/clients"
contracts=$(find "$ROOT/proto" -name '*.proto' | sort)

# install_python NAME REQUIREMENTS
install_python() {
    fresh "$home/$1.stamp" "$2" && return
    python3 -m venv --clear "$home/$1"
    "$home/$1/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$2"
    mark "$home/$1.stamp" "$2"
}

# install_node NAME: a client whose lock file is in the folder of its name
install_node() {
    fresh "$home/$1.stamp" "$from/$1"/* && return
    mkdir -p "$home/$1"
    cp "$from/$1"/* "$from/$1/.npmrc" "$home/$1"
    (cd "$home/$1" && npm ci --silent)
    mark "$home/$1.stamp" "$from/$1"/*
}

install_browser_client() {
    # shellcheck disable=SC2086 # no contract has a space in its name
    fresh "$home/connect_web.stamp" "$from"/connect_web/* $contracts && return
    mkdir -p "$home/connect_web"
    cp "$from"/connect_web/* "$from/connect_web/.npmrc" "$home/connect_web"
    (
        cd "$home/connect_web"
        npm ci --silent
        "$ROOT/scripts/buf.sh" generate --template buf.gen.yaml "$ROOT/proto" --path "$ROOT/proto/causeway"
        node_modules/.bin/esbuild story.js --bundle --format=iife --target=es2022 --outfile=bundle.js --log-level=warning
    )
    # shellcheck disable=SC2086
    mark "$home/connect_web.stamp" "$from"/connect_web/* $contracts
}

# installed NAME...: ends the script if one is not.
installed() {
    local name
    for name in "$@"; do
        [[ -f $home/$name.stamp ]] || {
            echo "the clients are not installed: run scripts/clients.sh install" >&2
            exit "$UNAVAILABLE"
        }
    done
}

run() {
    if [[ $1 == moto ]]; then
        installed moto
        exec "$home/moto/bin/moto_server" -H 127.0.0.1 -p 0
    fi
    if [[ $1 == clerk ]]; then
        installed clerk
        cd "$home/clerk" && exec node judge.mjs
    fi
    if [[ $1 == authenticator ]]; then
        installed python
        PYTHONDONTWRITEBYTECODE=1 exec "$home/python/bin/python" "$from/$1.py"
    fi
    if [[ $1 == cedar ]]; then
        installed cedar
        PYTHONDONTWRITEBYTECODE=1 exec "$home/cedar/bin/python" "$from/cedar/oracle.py" \
            "$ROOT/libs/contracts/tests/golden/roles.tsv"
    fi
    if [[ $1 == oidc_provider ]]; then
        installed oidc_provider
        cd "$home/oidc_provider" && exec node provider.mjs
    fi
    installed python connect_web
    # The gateway under test is on this machine; no proxy stands between.
    export PYTHONDONTWRITEBYTECODE=1 NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost,::1"
    export no_proxy=$NO_PROXY
    case $1 in
        openai_sdk | oauth_story | grpcio_story) exec "$home/python/bin/python" "$from/$1.py" ;;
        connect_web) cd "$home/connect_web" && exec node run.mjs ;;
        buf_curl) exec "$from/buf_curl.sh" ;;
        *) die "no client is called $1" ;;
    esac
}

case ${1-} in
    install)
        mkdir -p "$home"
        install_python python "$from/requirements.txt"
        install_python moto "$from/moto/requirements.txt"
        install_python cedar "$from/cedar/requirements.txt"
        install_node oidc_provider
        install_browser_client
        install_node clerk
        ;;
    run) run "${2-}" ;;
    *) die "usage: scripts/clients.sh install | run NAME" ;;
esac
