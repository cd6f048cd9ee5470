#!/usr/bin/env bash
# Looks for secrets in every log that the tests kept: scripts/scan_logs.sh FOLDER
# A log without lines proves nothing, so there must be some.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

folder=$1
lines=$(cat "$folder"/*.log 2>/dev/null | wc -l)
[[ $lines -ge 1000 ]] || die "only $lines log lines in $folder: what was scanned?"

# In development the log stands in for the mail, link and all: these lines are what it is read for.
mail='"message":"a mail that is not sent, as there is no SES_FROM_EMAIL".*"text":"Follow this link'

# Tokens by their shape; then the passwords, keys, secrets, addresses (all but the masked ones) and questions that the
# tests use.
patterns=(
    'cw_[a-z]+_[0-9A-Za-z]{20,}'
    'eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}'
    '\$argon2'
    'correct horse'
    'sk-of-the-tests'
    'secret of the tests'
    'key-of-the-tests'
    'the-value-of-a-secret'
    'a-private-question'
    'a-wrong-password'
    'Say hello to the auditor'
    '[^*]@example\.com'
    'postgresql://[^ ]*:[^ ]*@'
)
found=0
for pattern in "${patterns[@]}"; do
    held=$(grep -nE -- "$pattern" "$folder"/*.log | grep -vE -- "$mail" || true)
    if [[ -n $held ]]; then
        head -n 9 <<<"$held"
        say "a log holds $pattern"
        found=1
    fi
done
[[ $found -eq 0 ]] || die "secrets in the logs"
say "$lines log lines hold no secret"
