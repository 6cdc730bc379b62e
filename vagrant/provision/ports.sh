# shellcheck shell=bash
# The lab's ports: chosen free at first use, written to .lab/ports and kept.
# A variable of the same name in the environment decides instead, and the file then holds that value.
#
# All lie below 32768, where the kernel takes no ports for outgoing connections by itself.
# RTP wants two ports for a call on either side: room for 380 calls on Asterisk and 220 on FreeSWITCH.
# Such ranges lie side by side in slots, so that ten checkouts on one machine find room.

SINGLE_LOWEST=5000
RTP_LOWEST=8000
RTP_PORTS=1200
# Of the switch's range the upper part is FreeSWITCH's, for the two may run at once.
# shellcheck disable=SC2034 # used where the switches are configured
ASTERISK_RTP_PORTS=760
RTP_SLOTS=20

# name:number of ports in a row
LAB_PORTS=(
    SKLIC_LAB_POSTGRES_PORT:1
    SKLIC_LAB_AMI_PORT:1
    SKLIC_LAB_SIP_PORT:1
    SKLIC_LAB_ESL_PORT:1
    SKLIC_LAB_FREESWITCH_SIP_PORT:1
    SKLIC_LAB_TRUNK_PORT:1
    SKLIC_LAB_SMTP_PORT:1
    SKLIC_LAB_KANNEL_ADMIN_PORT:1
    SKLIC_LAB_KANNEL_BOX_PORT:1
    SKLIC_LAB_KANNEL_SMSC_PORT:1
    SKLIC_LAB_KANNEL_SEND_PORT:1
    "SKLIC_LAB_RTP_BASE:$RTP_PORTS"
    "SKLIC_LAB_PHONE_RTP_BASE:$RTP_PORTS"
)

# The local ports in use on this machine: listening TCP sockets and every UDP socket.
ports_in_use() {
    local port
    awk 'FNR > 1 && (FILENAME ~ /udp/ || $4 == "0A") {sub(/.*:/, "", $2); print $2}' \
        /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null |
        while read -r port; do printf '%d\n' "0x$port"; done
}

# grep reads to the end: with -q it would close the pipe early, and pipefail would take that for a failure.
port_is_free() { ! ports_in_use | grep -x "$1" >/dev/null; }

# Who holds a port, for a message.
port_holder() {
    local holder
    holder=$(ss -Hlntup "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | sed -n 1p)
    printf '%s' "${holder:-another process}"
}

# Reads the ports, choosing those that are not known yet.
ports_load() {
    local entry name count value file=$LAB_DIR/ports
    local -A kept=() taken=() used=()
    if [ -f "$file" ]; then
        while IFS='=' read -r name value; do
            kept[$name]=$value
        done <"$file"
    fi
    local missing=0 changed=0
    for entry in "${LAB_PORTS[@]}"; do
        IFS=: read -r name count <<<"$entry"
        value=${!name:-${kept[$name]:-}}
        [ -n "$value" ] || missing=1
        [ "$value" = "${kept[$name]:-}" ] || changed=1
        [[ $value =~ ^[0-9]*$ ]] || die "$name is '$value', which is no port number"
        printf -v "$name" '%s' "$value"
    done
    if [ "$missing" = 1 ]; then
        # What is in use now; and, as long as there is room, what other checkouts on this machine have chosen for when they run.
        while read -r value; do taken[$value]=1 used[$value]=1; done < <(ports_in_use)
        while read -r name value; do
            count=1
            [[ $name != *RTP_BASE ]] || count=$RTP_PORTS
            ports_mark "$value" "$count"
        done < <(ports_of_others)
        for entry in "${LAB_PORTS[@]}"; do
            IFS=: read -r name count <<<"$entry"
            [ -z "${!name}" ] || continue
            ports_choose "$name" "$count"
            printf -v "$name" '%s' "$CHOSEN_PORT"
            ports_mark "$CHOSEN_PORT" "$count"
        done
    fi
    if [ "$missing" = 1 ] || [ "$changed" = 1 ]; then
        ports_save
    fi
}

# The ports that labs of other checkouts have chosen, as NAME NUMBER lines; a lab whose folder is gone has none.
ports_of_others() {
    local state
    for state in "$LAB_STATE"/*/; do
        if [ -f "$state/ports" ] && [ -d "$(cat "$state/lab" 2>/dev/null)" ]; then
            tr '=' ' ' <"$state/ports"
        fi
    done
}

# Marks COUNT ports from FIRST on in the caller's `taken`.
ports_mark() {
    local port
    for ((port = $1; port < $1 + $2; port++)); do taken[$port]=1; done
}

# Chooses COUNT ports in a row that are not in the caller's `taken`; sets CHOSEN_PORT.
# When other checkouts have chosen all there are, it takes what nobody uses at this moment.
ports_choose() {
    ports_find "$1" "$2" && return
    local port
    for port in "${!taken[@]}"; do
        [ -n "${used[$port]:-}" ] || unset "taken[$port]"
    done
    local entry own count
    for entry in "${LAB_PORTS[@]}"; do
        IFS=: read -r own count <<<"$entry"
        [ -z "${!own}" ] || ports_mark "${!own}" "$count"
    done
    ports_find "$1" "$2" || die "no $2 free ports in a row were found for $1; choose them yourself with $1=NUMBER"
}

ports_find() {
    local count=$2 tries port start=$RANDOM
    for ((tries = 0; tries < 1000; tries++)); do
        if [ "$count" = 1 ]; then
            CHOSEN_PORT=$((SINGLE_LOWEST + RANDOM % (RTP_LOWEST - SINGLE_LOWEST)))
        else
            CHOSEN_PORT=$((RTP_LOWEST + (start + tries) % RTP_SLOTS * RTP_PORTS))
        fi
        for ((port = CHOSEN_PORT; port < CHOSEN_PORT + count; port++)); do
            [ -z "${taken[$port]:-}" ] || continue 2
        done
        return 0
    done
    return 1
}

ports_save() {
    local entry name
    for entry in "${LAB_PORTS[@]}"; do
        name=${entry%%:*}
        printf '%s=%s\n' "$name" "${!name}"
    done >"$LAB_DIR/ports.new"
    mv "$LAB_DIR/ports.new" "$LAB_DIR/ports"
    # A copy where the other checkouts look before they choose.
    mkdir -p "$(state_dir)"
    printf '%s\n' "$LAB_DIR" >"$(state_dir)/lab"
    cp "$LAB_DIR/ports" "$(state_dir)/ports"
}

# Fails in clear words when a port that a service is about to take is taken: port_must_be_free VARIABLE SERVICE.
# A killed process of many threads holds its ports until the last of them has ended, a little after it is seen as dead.
port_must_be_free() {
    local port=${!1} tries=40
    until port_is_free "$port" || [ $((tries -= 1)) = 0 ]; do sleep 0.05; done
    port_is_free "$port" || die "port $port, which $2 is to use, is taken by $(port_holder "$port")." \
        "End that, or choose another port with $1=NUMBER, or remove the line $1 from $LAB_DIR/ports to have a free one chosen"
}
