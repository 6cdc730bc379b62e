# shellcheck shell=bash
# PostgreSQL: a cluster of the lab's own on 127.0.0.1, with fsync on as in production.
# It has no Unix socket; the superuser and the role sklic have passwords made for this lab.

postgres_dir() { printf '%s/postgres' "$(state_dir)"; }

postgres_bin() {
    local bin
    bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    [ -x "$bin/postgres" ] || die "PostgreSQL is not installed: run 'lab.sh install'"
    printf '%s' "$bin"
}

as_postgres() { setpriv --reuid postgres --regid postgres --init-groups --reset-env -- "$@"; }

postgres_url() { printf 'postgres://sklic:%s@127.0.0.1:%s/sklic' "$(secret_of postgres-sklic)" "$SKLIC_LAB_POSTGRES_PORT"; }

# SQL as the superuser; the words come from standard input.
postgres_sql() {
    PGPASSWORD=$(secret_of postgres) PGCONNECT_TIMEOUT=5 "$(postgres_bin)/psql" -X -q -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$SKLIC_LAB_POSTGRES_PORT" -U postgres -d postgres
}

postgres_install() {
    local data made
    data=$(postgres_dir)
    made="$(basename "$(dirname "$(postgres_bin)")") $(secret_of postgres | hash_of)"
    if stamp_is postgres "$made" && [ -f "$data/PG_VERSION" ]; then
        return 0
    fi
    say "[3/4] PostgreSQL: making a cluster of the lab's own (about 3 s)"
    postgres_discard
    mkdir -p "$(state_dir)"
    chmod 0755 "$(state_dir)"
    printf '%s\n' "$LAB_DIR" >"$(state_dir)/lab"
    install -d -o postgres -g postgres -m 0700 "$data.new"
    install -o postgres -g postgres -m 0600 "$LAB_DIR/secrets/postgres" "$(state_dir)/password"
    (cd / && as_postgres "$(postgres_bin)/initdb" -D "$data.new" -U postgres --pwfile "$(state_dir)/password" \
        -A scram-sha-256 -E UTF8 --locale C.UTF-8 --data-checksums) >"$LOG_DIR/initdb.log" 2>&1 9>&- ||
        die "initdb failed; see $LOG_DIR/initdb.log: $(tail -n 3 "$LOG_DIR/initdb.log")"
    rm -f "$(state_dir)/password"
    printf '%s\n' 'host all all 127.0.0.1/32 scram-sha-256' >"$data.new/pg_hba.conf"
    cat >>"$data.new/postgresql.conf" <<'SETTINGS'
# The Sklic lab's own settings; the port is given at the start.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
fsync = on
synchronous_commit = on
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %u@%d '
SETTINGS
    mv "$data.new" "$data"
    ln -sfn "$data" "$LAB_DIR/postgres"
    set_stamp postgres "$made"
}

# Ends the server that works in a data directory, whatever became of the note of it.
postgres_end_in() {
    local pid started
    read -r pid 2>/dev/null <"$1/postmaster.pid" || return 0
    [ "$(readlink "/proc/$pid/cwd")" = "$1" ] || return 0
    started=$(start_time_of "$pid") || return 0
    kill -QUIT "$pid"
    process_gone "$pid" "$started" 10 || die "the PostgreSQL of a lab that is gone does not end: process $pid in $1"
}

# Removes what is left of labs whose checkout was deleted without `down --purge`, a server that still runs too.
postgres_tidy() {
    local state
    for state in "$LAB_STATE"/*/; do
        state=${state%/}
        if [ ! -f "$state/lab" ] || [ -d "$(cat "$state/lab")" ]; then continue; fi
        say "removing what is left of the lab $(cat "$state/lab"), which is gone"
        postgres_end_in "$state/postgres"
        remove_tree "$state"
    done
}

# Ends and removes the cluster.
postgres_discard() {
    local data
    data=$(postgres_dir)
    postgres_stop
    postgres_end_in "$data"
    rm -f "$STAMP_DIR/postgres" "$LAB_DIR/postgres"
    remove_tree "$data"
    remove_tree "$data.new"
}

postgres_start() {
    if process_of postgres >/dev/null; then
        return 0
    fi
    postgres_install
    port_must_be_free SKLIC_LAB_POSTGRES_PORT PostgreSQL
    cd /
    start_process postgres setpriv --reuid postgres --regid postgres --init-groups --reset-env -- \
        "$(postgres_bin)/postgres" -D "$(postgres_dir)" -p "$SKLIC_LAB_POSTGRES_PORT"
    wait_ready postgres 60 "$(postgres_bin)/pg_isready" -q -h 127.0.0.1 -p "$SKLIC_LAB_POSTGRES_PORT"
    postgres_sql <<SQL || die "PostgreSQL refuses the lab's superuser; see $LOG_DIR/postgres.log"
SELECT 'CREATE ROLE sklic LOGIN CREATEDB' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sklic') \gexec
ALTER ROLE sklic PASSWORD '$(secret_of postgres-sklic)';
SELECT 'CREATE DATABASE sklic OWNER sklic' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'sklic') \gexec
SQL
    say "PostgreSQL runs on 127.0.0.1:$SKLIC_LAB_POSTGRES_PORT"
}

# SIGINT is PostgreSQL's "fast" stop: it ends the sessions and writes a checkpoint.
postgres_stop() { end_process postgres INT 30; }

# As if the power had failed: the server and its processes die at once and nothing is written.
postgres_kill() {
    local pid child
    pid=$(process_of postgres) || return 0
    local children=()
    local -a ids=()
    read -ra ids <"/proc/$pid/task/$pid/children" || true
    for child in "${ids[@]}"; do
        children+=("$child:$(start_time_of "$child" || true)")
    done
    end_process postgres KILL 5
    # Those that outlive their parent hold the shared memory, and no new server would start beside them.
    for child in "${children[@]}"; do
        if [ -z "${child#*:}" ] || [ "$(start_time_of "${child%:*}" || true)" != "${child#*:}" ]; then continue; fi
        kill -KILL "${child%:*}" 2>/dev/null || true
        process_gone "${child%:*}" "${child#*:}" 5 || die "process ${child%:*} of PostgreSQL does not end"
    done
    # A new server refuses to start while the old one's id exists, though it be a dead process that nobody has
    # waited for yet. All of the old server has ended by now, so its lock file says nothing any more.
    rm -f "$(postgres_dir)/postmaster.pid"
}
