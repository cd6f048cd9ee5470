#!/usr/bin/env bash
# `buf curl`, whose gRPC stack is connect-go's, by the server's reflection: gRPC and gRPC-web.
#
# Environment: CAUSEWAY_URL, and optionally CAUSEWAY_REFLECTION_TOKEN. Prints one JSON object and exits 0.
set -euo pipefail
cd "$(dirname "$0")/../.."

url=${CAUSEWAY_URL:?set CAUSEWAY_URL}
url=${url%/}
email="grace-$RANDOM$RANDOM$RANDOM@example.com"
password="correct horse $RANDOM$RANDOM"
protocol=grpc

# call METHOD BODY [TOKEN]: the answer as JSON, one object per message.
call() {
    local options=(--protocol "$protocol" --http2-prior-knowledge)
    [[ $url == https:* ]] && options=(--protocol "$protocol")
    [[ -n ${3-} ]] && options+=(-H "authorization: Bearer $3")
    [[ -n ${CAUSEWAY_REFLECTION_TOKEN-} ]] && options+=(--reflect-header "authorization: Bearer $CAUSEWAY_REFLECTION_TOKEN")
    scripts/buf.sh curl "${options[@]}" -d "$2" "$url/$1"
}

# field NAME: that field of the JSON object on standard input.
field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

fail() {
    echo "buf_curl.sh: $*" >&2
    exit 1
}

auth=causeway.auth.v1.AuthService
llm=causeway.llm.v1.LlmService
ask='{"model": "auto", "messages": [{"role": "user", "content": "Say why a causeway is useful."}]}'

call $auth/Register "{\"email\": \"$email\", \"password\": \"$password\", \"workspace_name\": \"Grace's\"}" >/dev/null
token=$(call $auth/Login "{\"email\": \"$email\", \"password\": \"$password\"}" | field accessToken)
for protocol in grpc grpcweb; do
    [[ $(call $auth/GetMe '{}' "$token" | field email) == "$email" ]] || fail "$protocol: GetMe is about somebody else"
    call $llm/Generate "$ask" "$token" | field content >/dev/null
    pieces=$(call $llm/GenerateStream "{\"request\": $ask}" "$token" | grep -c '"id"') || fail "$protocol: no piece came"
    [[ $pieces -gt 1 ]] || fail "$protocol: the stream came in one piece"
    if refusal=$(call $auth/GetMe '{}' 2>&1); then fail "$protocol: an anonymous GetMe was answered"; fi
    grep -q unauthenticated <<<"$refusal" || fail "$protocol: expected unauthenticated, got $refusal"
done
echo "{\"client\": \"buf curl $(scripts/buf.sh --version)\", \"email\": \"$email\", \"pieces\": $pieces}"
