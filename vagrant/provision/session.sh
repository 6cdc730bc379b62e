# shellcheck shell=bash
# A session: one command with the lab around it, and nothing left when it is over, however it ended.

# Runs a command in a process group of its own. Ctrl-C, or SIGTERM to this script, is passed on to the whole
# group; what is left of the group after the command is killed; then the lab is taken down.
session_run() {
    local status=0
    exec 7>"$LAB_DIR/session.lock"
    flock -n 7 || die "another session (demo, up, test or bench) runs in this checkout; end it with 'make down' or wait for it"
    remember_process session $$
    # The verbs below are commands of their own: they take the lab's lock only for as long as they need it.
    export SKLIC_LAB_SESSION=$$
    SESSION_GROUP=''
    trap 'session_leave' EXIT
    trap 'session_interrupt INT' INT
    trap 'session_interrupt TERM' TERM HUP
    "$PROVISION_DIR/lab.sh" install 7>&-
    "$PROVISION_DIR/lab.sh" start postgres 7>&-
    ports_load
    export_lab_env
    # With job control a background command has its own process group and still hears SIGINT.
    set -m
    "$@" </dev/null 7>&- &
    SESSION_GROUP=$!
    set +m
    # A trapped signal ends `wait` early; wait on until the command is gone.
    while :; do
        wait "$SESSION_GROUP" && status=0 || status=$?
        kill -0 "$SESSION_GROUP" 2>/dev/null || break
    done
    exit "$status"
}

session_interrupt() {
    if [ -n "$SESSION_GROUP" ]; then
        say "interrupted: ending the command"
        kill "-$1" -- "-$SESSION_GROUP" 2>/dev/null || true
    else
        exit 130
    fi
}

# What a session leaves behind: nothing that runs.
session_leave() {
    local status=$?
    trap '' INT TERM HUP
    trap - EXIT
    if [ -n "$SESSION_GROUP" ] && kill -KILL -- "-$SESSION_GROUP" 2>/dev/null; then
        say "ended what the command had left running"
    fi
    "$PROVISION_DIR/lab.sh" down 7>&- || status=1
    rm -f "$RUN_DIR/session.pid"
    exit "$status"
}

# Ends the session that runs in this lab, from another terminal; a session's own commands do not end it.
session_end() {
    local pid
    [ -z "${SKLIC_LAB_SESSION:-}" ] || return 0
    pid=$(process_of session) || return 0
    say "ending the session that runs (process $pid)"
    # It passes the signal on, and takes the lab down itself.
    end_process session TERM 60
}
