# shellcheck shell=bash
# What every part of the lab uses: words on the terminal, the places of things, locks, ports, and processes.
# It is read with `source`; it starts nothing by itself.

PROVISION_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CHECKOUT_DIR=$(cd "$PROVISION_DIR/../.." && pwd -P)
LAB_DIR=$(realpath -m "${SKLIC_LAB_DIR:-$CHECKOUT_DIR/.lab}")
# shellcheck disable=SC2034 # used where the root is built
# Built roots are kept here, so that the second checkout on a machine is ready within seconds.
LAB_CACHE=${SKLIC_LAB_CACHE:-/var/cache/sklic-lab}
# PostgreSQL must not run as root, and its own user often cannot reach a checkout (a home, a `mktemp -d`).
# Its data therefore lie here, in a directory named by the hash of the lab's path.
LAB_STATE=/var/lib/sklic-lab

RUN_DIR=$LAB_DIR/run
LOG_DIR=$LAB_DIR/log
STAMP_DIR=$LAB_DIR/stamps

# ---- words ------------------------------------------------------------------------------------------------

say() { printf '%s\n' "lab: $*" >&2; }

die() {
    printf '%s\n' "lab: error: $*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" = 0 ] || die "this needs root: the lab installs Debian packages, runs Asterisk in a root of its own (chroot)" \
        "and PostgreSQL under the user postgres. Run the same command again as root, for example with sudo"
}

# ---- files ------------------------------------------------------------------------------------------------

# One hash over files and words: what a stamp holds, to tell whether a thing was made from the same inputs.
hash_of() { sha256sum | cut -c1-16; }

stamp_is() { [ -f "$STAMP_DIR/$1" ] && [ "$(cat "$STAMP_DIR/$1")" = "$2" ]; }

set_stamp() {
    mkdir -p "$STAMP_DIR"
    printf '%s\n' "$2" >"$STAMP_DIR/$1.new"
    mv "$STAMP_DIR/$1.new" "$STAMP_DIR/$1"
}

# Removes a directory tree, and never what is mounted inside it.
remove_tree() {
    local tree=$1 mount
    [ -e "$tree" ] || return 0
    while read -r mount; do
        umount -l "$mount"
    done < <(awk -v tree="$(cd "$tree" && pwd -P)/" 'index($5 "/", tree) == 1 && $5 "/" != tree {print $5}' /proc/self/mountinfo | sort -r)
    rm -rf --one-file-system "$tree"
}

# The name of this lab outside of the checkout.
lab_name() { printf '%s' "$LAB_DIR" | hash_of; }

state_dir() { printf '%s/%s' "$LAB_STATE" "$(lab_name)"; }

# Makes the lab's directories; other users may not list them.
make_lab_dir() {
    need_root
    mkdir -p "$RUN_DIR" "$LOG_DIR" "$STAMP_DIR" "$LAB_STATE"
    chmod 0711 "$LAB_DIR"
    chmod 0755 "$LAB_STATE"
}

# Takes the lab's lock until this process ends: two commands at once must not build or start the same thing twice.
# Every process that stays gets `9>&-`, or it would hold the lock.
lock_lab() {
    exec 9>"$LAB_DIR/lock"
    flock -n 9 && return 0
    say "another lab command is at work in $LAB_DIR; waiting for it"
    flock 9
}

# A secret of letters and digits, made once and kept.
secret_of() {
    local file=$LAB_DIR/secrets/$1
    if [ ! -s "$file" ]; then
        (
            umask 077
            mkdir -p "$LAB_DIR/secrets"
            head -c 18 /dev/urandom | base64 | tr -d '+/=\n' >"$file"
        )
    fi
    cat "$file"
}

# ---- processes --------------------------------------------------------------------------------------------

# The time at which a process started, in clock ticks since boot: with the id it names a process for good.
start_time_of() {
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name in brackets may hold blanks: count the fields after the last bracket.
    stat=${stat##*) }
    # A zombie has ended; only its parent has not noticed yet.
    [ "${stat%% *}" != Z ] || return 1
    read -ra fields <<<"$stat"
    printf '%s' "${fields[19]}"
}

# Writes down a process as ours: its id and start time.
remember_process() {
    local started
    started=$(start_time_of "$2") || return 1
    printf '%s %s\n' "$2" "$started" >"$RUN_DIR/$1.pid"
}

# Prints the id of the running process of a name; fails if it does not run or the id belongs to another now.
process_of() {
    local pid started
    read -r pid started 2>/dev/null <"$RUN_DIR/$1.pid" || return 1
    [ "$(start_time_of "$pid")" = "$started" ] || return 1
    printf '%s' "$pid"
}

# Waits until a process has ended: process_gone PID START_TIME SECONDS.
process_gone() {
    local tries=$(($3 * 20))
    while [ "$(start_time_of "$1")" = "$2" ]; do
        [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.05
    done
}

# Ends a process of ours: end_process NAME SIGNAL SECONDS; after the time is over with SIGKILL.
end_process() {
    local name=$1 signal=$2 seconds=$3 pid started
    if ! pid=$(process_of "$name"); then
        rm -f "$RUN_DIR/$name.pid"
        return 0
    fi
    started=$(start_time_of "$pid") || return 0
    kill "-$signal" "$pid" 2>/dev/null || true
    if ! process_gone "$pid" "$started" "$seconds"; then
        say "$name did not end within $seconds s after SIG$signal; killing it"
        kill -KILL "$pid" 2>/dev/null || true
        process_gone "$pid" "$started" 10 || die "$name (process $pid) does not end even by SIGKILL"
    fi
    rm -f "$RUN_DIR/$name.pid"
}

# Starts a process that stays, in a session of its own so that Ctrl-C at the terminal does not reach it:
# the one who pressed it ends it in order, by `lab.sh down`. Usage: start_process NAME COMMAND...
start_process() {
    local name=$1 interrupted=''
    shift
    # An interrupt between the start and the note of it would leave a process that nobody knows.
    trap 'interrupted=yes' INT TERM HUP
    setsid -- "$@" </dev/null >>"$LOG_DIR/$name.log" 2>&1 9>&- &
    local pid=$!
    disown "$pid"
    if ! remember_process "$name" "$pid"; then
        die "$name ended at once; its last words, in $LOG_DIR/$name.log: $(tail -n 3 "$LOG_DIR/$name.log")"
    fi
    trap - INT TERM HUP
    if [ -n "$interrupted" ]; then
        end_process "$name" TERM 10
        exit 130
    fi
}

# Waits until a test succeeds while the process lives: wait_ready NAME SECONDS TEST...
wait_ready() {
    local name=$1 tries=$(($2 * 10)) seconds=$2
    shift 2
    until "$@" 2>/dev/null; do
        process_of "$name" >/dev/null || {
            rm -f "$RUN_DIR/$name.pid"
            die "$name ended while it started; see $LOG_DIR/$name.log: $(tail -n 3 "$LOG_DIR/$name.log")"
        }
        [ $((tries -= 1)) -gt 0 ] || {
            end_process "$name" KILL 5
            die "$name was not ready within $seconds s; see $LOG_DIR/$name.log"
        }
        sleep 0.1
    done
}
