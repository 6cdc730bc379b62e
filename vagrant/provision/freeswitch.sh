# shellcheck shell=bash
# FreeSWITCH in the lab, where one is installed: its configuration, start and end.
#
# No package registry that the lab uses has FreeSWITCH: an installed one is used, and nothing is installed.
# SKLIC_FREESWITCH names its folder (default: /usr/local/freeswitch); bin/freeswitch must be in it.
# The configuration is the lab's own base (freeswitch/freeswitch.xml here), filled in with the ports,
# and the project's dialplan/freeswitch/*.xml included as an integrator would include it.

FREESWITCH_HOME=${SKLIC_FREESWITCH:-/usr/local/freeswitch}
# It runs as a user that may do nothing, who often cannot reach a checkout; hence beside PostgreSQL's data.
freeswitch_state() { printf '%s/freeswitch' "$(state_dir)"; }

freeswitch_is_installed() { [ -x "$FREESWITCH_HOME/bin/freeswitch" ]; }

# Writes the configuration anew; what the project ships is copied as it is.
freeswitch_configure() {
    local state secret
    state=$(freeswitch_state)
    secret=$(secret_of esl)
    rm -rf "$state/conf" "$state/sounds"
    mkdir -p "$state/conf/sklic" "$state/sounds" "$state/log" "$state/db" "$state/run" "$state/recordings" "$state/certs"
    sed -e "s|@ESL_PORT@|$SKLIC_LAB_ESL_PORT|g" -e "s|@ESL_SECRET@|$secret|g" \
        -e "s|@SIP_PORT@|$SKLIC_LAB_FREESWITCH_SIP_PORT|g" -e "s|@TRUNK_PORT@|$SKLIC_LAB_TRUNK_PORT|g" \
        -e "s|@RTP_START@|$((SKLIC_LAB_RTP_BASE + ASTERISK_RTP_PORTS))|g" -e "s|@RTP_END@|$((SKLIC_LAB_RTP_BASE + RTP_PORTS - 1))|g" \
        -e "s|@RTP_TIMEOUT@|${SKLIC_LAB_RTP_TIMEOUT:-30}|g" -e "s|@CALLS_PER_SECOND@|${SKLIC_LAB_FREESWITCH_CALLS_PER_SECOND:-60}|g" \
        -e "s|@SOUNDS@|$state/sounds/prompts|g" -e "s|@MUSIC@|$state/sounds/moh|g" -e "s|@STATE@|$state|g" \
        "$PROVISION_DIR/freeswitch/freeswitch.xml" >"$state/conf/freeswitch.xml"
    cp "$CHECKOUT_DIR"/dialplan/freeswitch/*.xml "$state/conf/sklic/"
    [ ! -d "$SOUNDS_DIR" ] || cp -a --no-preserve=ownership "$SOUNDS_DIR/." "$state/sounds/"
    chown -R root:nogroup "$state/conf"
    chmod -R u=rwX,g=rX,o= "$state/conf"
    chmod -R a+rX "$state/sounds"
    chmod 0755 "$(state_dir)" "$state"
    chown -R nobody:nogroup "$state/log" "$state/db" "$state/run" "$state/recordings" "$state/certs"
}

# Logs in as the service would and waits until the SIP profile is there: the socket answers before it.
freeswitch_booted() (
    exec 3<>"/dev/tcp/127.0.0.1/$SKLIC_LAB_ESL_PORT" || exit 1
    printf 'auth %s\n\napi sofia status profile lab\n\n' "$(secret_of esl)" >&3
    while IFS= read -r -t 5 line <&3; do
        [[ $line != *RTP-IP* ]] || exit 0
        [[ $line != *"Invalid Profile"* && $line != *-ERR* ]] || exit 1
    done
    exit 1
)

freeswitch_start() {
    if process_of freeswitch >/dev/null; then
        return 0
    fi
    freeswitch_is_installed || die "there is no FreeSWITCH in $FREESWITCH_HOME; name the folder of an installed one with SKLIC_FREESWITCH"
    port_must_be_free SKLIC_LAB_ESL_PORT "FreeSWITCH's event socket"
    port_must_be_free SKLIC_LAB_FREESWITCH_SIP_PORT "FreeSWITCH's SIP"
    freeswitch_configure
    local state
    state=$(freeswitch_state)
    # The log of one run only; the one before stays beside it.
    [ ! -f "$state/log/full.log" ] || mv "$state/log/full.log" "$state/log/full.log.1"
    ln -sfn "$state/log/full.log" "$LOG_DIR/freeswitch-full.log"
    ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"
    cd /
    start_process freeswitch "$FREESWITCH_HOME/bin/freeswitch" -nf -nc -nonat -u nobody -g nogroup \
        -conf "$state/conf" -log "$state/log" -db "$state/db" -run "$state/run" \
        -recordings "$state/recordings" -certs "$state/certs" -temp "$state/run"
    wait_ready freeswitch 30 freeswitch_booted
    say "FreeSWITCH runs: SIP 127.0.0.1:$SKLIC_LAB_FREESWITCH_SIP_PORT, event socket 127.0.0.1:$SKLIC_LAB_ESL_PORT"
}

freeswitch_stop() { end_process freeswitch TERM 20; }

# Its database lasts as long as the lab is up. What conferences of services leave in it whose own databases are gone is never asked for
# again, and the list of the rooms of which it holds something is cut at 4 kB.
freeswitch_forget() { rm -rf "$(freeswitch_state)/db"; }

freeswitch_kill() { end_process freeswitch KILL 5; }
