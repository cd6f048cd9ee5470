#!/usr/bin/env bash
# Runs a command with a throwaway PostgreSQL, a PgBouncer in front of it, and Redis beside it:
#
#     scripts/services.sh run cargo nextest run --workspace
#
# All listen on free ports of 127.0.0.1, keep their files in a temporary directory, and are gone afterwards, however
# the command ends. The command finds them by CAUSEWAY_TEST_DATABASE_URL (a superuser), CAUSEWAY_TEST_PGBOUNCER (host and
# port, and CAUSEWAY_TEST_PGBOUNCER_VERSION) and CAUSEWAY_TEST_REDIS_URL, and its exit code is passed on. What is not
# installed is installed, by apt-get or brew. A URL that is set already is used as it is, and nothing is started for it;
# PgBouncer is started only for a PostgreSQL of ours.
set -euo pipefail

say() { printf 'services: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 69
}

dir=
redis_pid=
pgbouncer_pid=
command_pid=
postgres_bin=

# Those of the given directories that exist, the highest release number first.
newest() {
    local place
    for place in "$@"; do
        if [ -d "$place" ]; then printf '%s %s\n' "${place//[^0-9]/}" "$place"; fi
    done | sort -rn | cut -d ' ' -f 2-
}

# Directories that may hold initdb, the best first.
postgres_places() {
    newest /usr/lib/postgresql/*/bin
    newest /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin
    newest /usr/pgsql-*/bin
    local initdb
    if initdb=$(command -v initdb); then dirname "$initdb"; fi
}

find_postgres() {
    local place
    while IFS= read -r place; do
        if [ -x "$place/initdb" ] && [ -x "$place/postgres" ]; then
            postgres_bin=$place
            return 0
        fi
    done <<EOF
$(postgres_places)
EOF
    return 1
}

# install DEBIAN_PACKAGE BREW_FORMULA
install() {
    if command -v apt-get >/dev/null; then
        say "installing $1"
        local root=()
        if [ "$(id -u)" -ne 0 ]; then
            command -v sudo >/dev/null || fail "please install $1, there is no sudo here"
            root=(sudo)
        fi
        # An empty array is an unbound variable to bash 3.2.
        {
            ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1" \
                || { ${root[@]+"${root[@]}"} apt-get update \
                    && ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive \
                        apt-get install -y --no-install-recommends "$1"; }
        } >&2
    elif command -v brew >/dev/null; then
        say "installing $2"
        brew install "$2" >&2
    else
        fail "please install $1"
    fi
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    elif command -v runuser >/dev/null; then
        (cd / && runuser -u postgres -- "$@")
    else
        (cd / && su postgres -s /bin/sh -c 'exec "$@"' -- sh "$@")
    fi
}

# Below the range that the kernel gives to outgoing connections. Taken by somebody else between this and the start:
# the caller tries again with another.
random_port() { echo $((10000 + (RANDOM * 32768 + RANDOM) % 20000)); }

# A certificate of our own, so that TLS can be tested. Without openssl those tests are skipped.
make_certificate() {
    command -v openssl >/dev/null || return 0
    cat >"$dir/openssl.cnf" <<EOF
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
EOF
    (umask 077 && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -config "$dir/openssl.cnf" \
        -keyout "$dir/server.key" -out "$dir/server.crt") >"$dir/openssl.log" 2>&1 || return 0
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir/server.key" "$dir/server.crt"
    options="$options -c ssl=on -c ssl_key_file=$dir/server.key -c ssl_cert_file=$dir/server.crt"
    export CAUSEWAY_TEST_DATABASE_CERTIFICATE="$dir/server.crt"
}

start_postgres() {
    find_postgres || {
        install postgresql postgresql@17
        find_postgres || fail "PostgreSQL was installed and is not to be found"
    }
    as_postgres "$postgres_bin/initdb" -D "$dir/postgres" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 \
        || { cat "$dir/initdb.log" >&2; fail "initdb did not work"; }
    local attempt port options
    options="-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=400"
    options="$options -c lc_messages=C"
    # What is thrown away need not survive a power cut, unless it is what a commit costs that is measured.
    [ -n "${CAUSEWAY_SERVICES_DURABLE:-}" ] || options="$options -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    make_certificate
    for attempt in 1 2 3 4 5; do
        port=$(random_port)
        if as_postgres "$postgres_bin/pg_ctl" -D "$dir/postgres" -w -t 60 -l "$dir/postgres.log" -o "$options -c port=$port" start >/dev/null 2>&1; then
            export CAUSEWAY_TEST_DATABASE_URL="postgresql://postgres@127.0.0.1:$port/postgres"
            start_pgbouncer "$port"
            return 0
        fi
        say "PostgreSQL did not start on port $port, attempt $attempt"
    done
    cat "$dir/postgres.log" >&2
    fail "PostgreSQL did not start"
}

# Whether version $1, such as 1.18.0, is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -t . -k 1,1n -k 2,2n | head -n 1)" = "$2" ]; }

# Root is told the number of a process that starts another one, so it is the file that counts.
stop_pgbouncer() {
    [ -n "$pgbouncer_pid" ] || return 0
    kill "$(cat "$dir/pgbouncer/pid" 2>/dev/null || echo "$pgbouncer_pid")" 2>/dev/null || true
    wait "$pgbouncer_pid" 2>/dev/null || true
    pgbouncer_pid=
}

# In transaction mode, with fewer connections to the server than clients: each transaction gets another one. It refuses
# to run as root, like the server.
start_pgbouncer() {
    local server=$1 program version attempt port waited prepared=
    command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || install pgbouncer pgbouncer
    program=$(command -v pgbouncer || echo /usr/sbin/pgbouncer)
    version=$("$program" --version | sed -n 's/^PgBouncer \([0-9.]*\).*/\1/p')
    ! at_least "$version" 1.21 || prepared='max_prepared_statements = 100'
    printf '"causeway_test_service" ""\n"causeway_test_owner" ""\n' >"$dir/pgbouncer/users.txt"
    for attempt in 1 2 3 4 5; do
        port=$(random_port)
        cat >"$dir/pgbouncer/pgbouncer.ini" <<EOF
[databases]
* = host=127.0.0.1 port=$server
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = trust
auth_file = $dir/pgbouncer/users.txt
pool_mode = transaction
default_pool_size = 2
max_client_conn = 300
logfile = $dir/pgbouncer/pgbouncer.log
pidfile = $dir/pgbouncer/pid
$prepared
EOF
        as_postgres "$program" -q "$dir/pgbouncer/pgbouncer.ini" >/dev/null 2>&1 </dev/null &
        pgbouncer_pid=$!
        for waited in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            if grep -q "listening on 127.0.0.1:$port" "$dir/pgbouncer/pgbouncer.log" 2>/dev/null; then
                export CAUSEWAY_TEST_PGBOUNCER="127.0.0.1:$port" CAUSEWAY_TEST_PGBOUNCER_VERSION="$version"
                return 0
            fi
            kill -0 "$pgbouncer_pid" 2>/dev/null || break
            sleep "0.$((waited < 5 ? 1 : 3))"
        done
        say "PgBouncer did not start on port $port, attempt $attempt"
        stop_pgbouncer
    done
    cat "$dir/pgbouncer/pgbouncer.log" >&2
    fail "PgBouncer did not start"
}

start_redis() {
    command -v redis-server >/dev/null || install redis-server redis
    local attempt port waited
    for attempt in 1 2 3 4 5; do
        port=$(random_port)
        redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$dir/redis" \
            >"$dir/redis.log" 2>&1 </dev/null &
        redis_pid=$!
        for waited in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            if redis-cli -h 127.0.0.1 -p "$port" info server 2>/dev/null | grep -q "process_id:$redis_pid"; then
                export CAUSEWAY_TEST_REDIS_URL="redis://127.0.0.1:$port"
                return 0
            fi
            kill -0 "$redis_pid" 2>/dev/null || break
            sleep "0.$((waited < 5 ? 1 : 3))"
        done
        say "Redis did not start on port $port, attempt $attempt"
        kill "$redis_pid" 2>/dev/null || true
    done
    cat "$dir/redis.log" >&2
    fail "Redis did not start"
}

# shellcheck disable=SC2317 # called by the trap
stop() {
    local code=$?
    trap - EXIT INT TERM HUP
    if [ -n "$redis_pid" ]; then
        kill "$redis_pid" 2>/dev/null || true
        wait "$redis_pid" 2>/dev/null || true
    fi
    stop_pgbouncer
    if [ -n "$postgres_bin" ] && [ -e "$dir/postgres/postmaster.pid" ]; then
        as_postgres "$postgres_bin/pg_ctl" -D "$dir/postgres" -m immediate -w stop >/dev/null 2>&1 || true
    fi
    [ -z "$dir" ] || rm -rf "$dir"
    exit "$code"
}

# shellcheck disable=SC2317 # called by the trap
stop_command() {
    kill -TERM "$command_pid" 2>/dev/null || true
    wait "$command_pid" 2>/dev/null || true
    exit "$1"
}

run() {
    [ $# -gt 0 ] || fail "usage: scripts/services.sh run COMMAND..."
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    dir=$(mktemp -d "${TMPDIR:-/tmp}/causeway-services.XXXXXX")
    mkdir "$dir/redis" "$dir/pgbouncer"
    if [ "$(id -u)" -eq 0 ]; then
        find_postgres || [ -n "${CAUSEWAY_TEST_DATABASE_URL:-}" ] || install postgresql postgresql@17
        ! id postgres >/dev/null 2>&1 || chown postgres "$dir" "$dir/pgbouncer"
    fi
    [ -n "${CAUSEWAY_TEST_DATABASE_URL:-}" ] || start_postgres
    [ -n "${CAUSEWAY_TEST_REDIS_URL:-}" ] || start_redis
    "$@" <&0 &
    command_pid=$!
    local code=0
    # A signal ends `wait`, so these run at once and not when the command is done. TERM for both: what the shell starts
    # in the background ignores INT.
    trap 'stop_command 130' INT
    trap 'stop_command 143' TERM
    trap 'stop_command 129' HUP
    wait "$command_pid" || code=$?
    exit "$code"
}

case "${1:-}" in
    run)
        shift
        run "$@"
        ;;
    *)
        sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
        exit 64
        ;;
esac
