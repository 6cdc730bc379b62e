#!/usr/bin/env bash
# What the lab promises: nothing is done twice, a taken port is told in clear words, nothing is left after `down`,
# and it works where the user postgres cannot look. It uses a lab of its own, with this checkout's packages and root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lab=vagrant/provision/lab.sh

# A lab of its own: nothing of the session around this test may show through.
for name in ${!SKLIC_LAB_@} SKLIC_TEST_DATABASE_URL; do
    [ "$name" = SKLIC_LAB_CACHE ] || unset "$name"
done
# mktemp makes it 0700: only its owner may pass.
work=$(mktemp -d)
export SKLIC_LAB_DIR=$work/lab
holder=''
leave() {
    [ -z "$holder" ] || kill "$holder" 2>/dev/null || true
    $lab down --purge || true
    rm -rf "$work"
}
trap leave EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Whether a process runs; one that has ended and only waits to be noticed does not.
runs() { grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null; }

echo "- installs into a directory that others cannot pass"
$lab install

echo "- a second install does nothing, and quickly"
started=$SECONDS
before=$(find "$SKLIC_LAB_DIR/stamps" -type f -printf '%p %T@\n' | sort)
words=$($lab install 2>&1)
[ -z "$words" ] || fail "the second install said: $words"
[ "$before" = "$(find "$SKLIC_LAB_DIR/stamps" -type f -printf '%p %T@\n' | sort)" ] || fail "the second install made something anew"
[ $((SECONDS - started)) -lt 5 ] || fail "the second install took $((SECONDS - started)) s"

echo "- a taken port is told in clear words, with who holds it"
port=$($lab env | sed -n 's/^SKLIC_LAB_SMTP_PORT=//p')
/usr/bin/python3 -c '
import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
print("ready", flush=True)
time.sleep(60)' "$port" >"$work/holder" &
holder=$!
until grep -qs ready "$work/holder"; do
    kill -0 "$holder" || fail "could not take the port"
    sleep 0.05
done
if words=$($lab start smtp 2>&1); then fail "it started on a taken port"; fi
[[ $words == *"port $port"*"taken by python3"* ]] || fail "the words were: $words"
kill "$holder"
wait "$holder" 2>/dev/null || true
holder=''

echo "- all starts, survives a kill, and keeps what was written"
$lab start all
[ "$($lab status | grep -c ' runs ')" = 3 ] || fail "not all runs: $($lab status)"
url=$($lab env | sed -n 's/^SKLIC_LAB_DATABASE_URL=//p')
psql -X -q "$url" -c 'CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)'
$lab kill all
! words=$($lab status | grep ' runs ') || fail "something survived the kill: $words"
$lab start all
[ "$(psql -X -q -A -t "$url" -c 'SELECT n FROM kept')" = 42 ] || fail "what was written is gone"

echo "- a session ends what its command left running, and hands on its status"
status=0
# shellcheck disable=SC2016 # for the inner shell
$lab session -- bash -c 'sleep 300 & echo $! >"$0"; exit 3' "$work/left" || status=$?
[ "$status" = 3 ] || fail "the status was $status"
! runs "$(cat "$work/left")" || fail "the session left a process running"

echo "- a session that is interrupted ends its command and the lab"
# shellcheck disable=SC2016 # for the inner shell
$lab session -- bash -c 'echo $$ >"$0"; exec sleep 300' "$work/command" &
session=$!
until [ -s "$work/command" ]; do
    kill -0 "$session" || fail "the session ended"
    sleep 0.05
done
kill -TERM "$session"
if wait "$session"; then fail "an interrupted session says that all went well"; fi
! runs "$(cat "$work/command")" || fail "the command goes on after the interrupt"
! words=$($lab status | grep ' runs ') || fail "the lab goes on: $words"

echo "- down leaves nothing that runs, and --purge nothing at all"
$lab start all
pids=$(cut -d' ' -f1 "$SKLIC_LAB_DIR"/run/*.pid)
state=$(dirname "$(readlink "$SKLIC_LAB_DIR/postgres")")
$lab down --purge
for pid in $pids; do
    ! runs "$pid" || fail "process $pid is left"
done
[ ! -e "$SKLIC_LAB_DIR" ] || fail "$SKLIC_LAB_DIR is left"
[ ! -e "$state" ] || fail "$state is left"

echo "lab: all as promised"
