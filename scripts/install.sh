#!/usr/bin/env bash
# Installs what a fresh machine lacks: scripts/install.sh test|check
#
# Debian and its family by apt-get, macOS by Homebrew, cargo tools by cargo install. What is there is left alone.
# The servers that tests need are the business of scripts/services.sh.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

# The versions are those that the gate was last seen to pass with; newer ones that are there already are fine.
NEXTEST=0.9.143 DENY=0.20.2 MACHETE=0.9.2

cargo_tool() {
    have "$1" || stage "install $1" cargo install --quiet --locked --version "$2" "$1"
}

has_python() {
    have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null
}

has_chromium() {
    [[ -n ${CHROMIUM-} ]] || have chromium || have chromium-browser || have google-chrome || have google-chrome-stable ||
        [[ -d /Applications/Chromium.app || -d '/Applications/Google Chrome.app' ]]
}

# The names of Debian's packages for what is missing.
missing() {
    have cc || echo gcc libc6-dev
    have node || echo nodejs
    have npm || echo npm
    [[ $1 == test ]] || return 0
    has_python || echo python3 python3-venv
    has_chromium || echo chromium
    have curl || echo curl
    have age || echo age
}

with_apt() {
    local sudo=()
    if [[ $EUID -ne 0 ]]; then
        have sudo || die "needs root to install: $*"
        sudo=(sudo)
    fi
    ${sudo[@]+"${sudo[@]}"} apt-get update -qq
    ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

with_brew() {
    local package
    for package in "$@"; do
        case $package in
            nodejs) brew install --quiet node ;;
            python3) brew install --quiet python@3.12 ;;
            chromium) brew install --quiet --cask chromium ;;
            gcc) die "run: xcode-select --install" ;;
            # They come with another one: npm with node, venv with python, the headers with the compiler.
            npm | python3-venv | libc6-dev) ;;
        esac
    done
}

main() {
    local purpose=${1-}
    [[ $purpose == test || $purpose == check ]] || die "usage: scripts/install.sh test|check"
    have cargo || die "needs Rust: see rustup.rs"

    local packages
    read -r -a packages <<<"$(missing "$purpose" | tr '\n' ' ')"
    if [[ ${#packages[@]} -gt 0 ]]; then
        if have apt-get; then
            stage "install ${packages[*]}" with_apt "${packages[@]}"
        elif have brew; then
            stage "install ${packages[*]}" with_brew "${packages[@]}"
        else
            die "needs apt-get or brew to install: ${packages[*]}"
        fi
    fi

    if [[ $purpose == test ]]; then
        cargo_tool cargo-nextest "$NEXTEST"
        return
    fi
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    cargo_tool cargo-deny "$DENY"
    cargo_tool cargo-machete "$MACHETE"
}

main "$@"
