#!/usr/bin/env bash
# Starts a throw-away PostgreSQL for the tests; it goes away with the process OWNER (default: who called).
#
#   export QUELL_TEST_POSTGRES=$(tests/postgres.sh $$)     # for this shell, then: cargo test
#
# Prints the URL of its first database. As a setup script of nextest (see .config/nextest.toml) it hands the URL
# to the tests, unless they have one already. Durability is off: what it holds is worth nothing after the tests.
# QUELL_POSTGRES_DURABLE=1 leaves it on, for benches/run: there it is a part of what is measured.
set -euo pipefail
owner=${1:-$PPID}

if [[ -n ${QUELL_TEST_POSTGRES:-} ]]; then
  printf '%s\n' "$QUELL_TEST_POSTGRES"
  exit 0
fi

bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
if [[ ! -x $bin/initdb ]]; then
  printf 'tests/postgres.sh: no PostgreSQL in /usr/lib/postgresql: run tests/install.sh\n' >&2
  exit 1
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/quell-postgres.XXXXXXXX")
log=$dir/log
password=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
printf '%s\n' "$password" >"$dir/password"

# PostgreSQL refuses to run as root.
as_postgres=()
if ((EUID == 0)); then
  as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
  chown -R postgres: "$dir"
fi

fail() {
  printf 'tests/postgres.sh: %s\n' "$1" >&2
  cat "$log" >&2
  rm -rf "$dir"
  exit 1
}

cd "$dir"
"${as_postgres[@]}" "$bin/initdb" --no-sync --pgdata="$dir/data" --username=quell --pwfile="$dir/password" \
  --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >"$log" 2>&1 || fail 'initdb failed'

# A port that has just been closed is kept from everybody who does not name it: ours for the next minute.
port=$(
  /usr/bin/python3 - <<'PYTHON'
import socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
listener.accept()[0].close()
print(listener.getsockname()[1])
PYTHON
)

careless=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off)
[[ -z ${QUELL_POSTGRES_DURABLE:-} ]] || careless=()

# Outlives this script, not its owner. Immediate shutdown, since nothing is worth a checkpoint.
setsid bash -c '
  owner=$1 dir=$2
  shift 2
  "$@" &
  server=$!
  tail --pid="$owner" -f /dev/null &
  wait -n
  kill -QUIT "$server" 2>/dev/null
  wait "$server"
  kill "$(jobs -p)" 2>/dev/null
  rm -rf "$dir"
' keeper "$owner" "$dir" "${as_postgres[@]}" "$bin/postgres" -D "$dir/data" \
  -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= -c max_connections=300 \
  "${careless[@]}" </dev/null >>"$log" 2>&1 &
keeper=$!

deadline=$((SECONDS + 60))
until "$bin/pg_isready" --quiet --host=127.0.0.1 --port="$port" --username=quell; do
  kill -0 "$keeper" 2>/dev/null || fail 'PostgreSQL did not start'
  ((SECONDS < deadline)) || fail 'PostgreSQL did not answer within 60 s'
  sleep 0.05
done

url=postgres://quell:$password@127.0.0.1:$port/postgres
if [[ -n ${NEXTEST_ENV:-} ]]; then
  printf 'QUELL_TEST_POSTGRES=%s\n' "$url" >>"$NEXTEST_ENV"
else
  printf '%s\n' "$url"
fi
