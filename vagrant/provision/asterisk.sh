# shellcheck shell=bash
# Asterisk in the lab: its configuration, start and end.
#
# The configuration is the lab's own base (asterisk/*.conf here), filled in with the ports,
# and the project's dialplan/asterisk/*.conf included as an integrator would include it.

# Where things are inside of the root.
ASTERISK_SOUNDS=/usr/share/sklic/prompts
ASTERISK_MUSIC=/usr/share/sklic/moh

# Writes the configuration anew; what the project ships is copied as it is.
asterisk_configure() {
    local etc=$ASTERISK_ROOT/etc/asterisk share=$ASTERISK_ROOT/usr/share/sklic file modules secret
    modules=$(cd "$ASTERISK_ROOT" && printf '/%s' usr/lib/*/asterisk/modules)
    secret=$(secret_of ami)
    rm -rf "$etc" "$share"
    mkdir -p "$etc/sklic" "$share"
    for file in "$PROVISION_DIR"/asterisk/*.conf; do
        sed -e "s|@AMI_PORT@|$SKLIC_LAB_AMI_PORT|g" -e "s|@AMI_SECRET@|$secret|g" \
            -e "s|@SIP_PORT@|$SKLIC_LAB_SIP_PORT|g" -e "s|@TRUNK_PORT@|$SKLIC_LAB_TRUNK_PORT|g" \
            -e "s|@RTP_START@|$SKLIC_LAB_RTP_BASE|g" -e "s|@RTP_END@|$((SKLIC_LAB_RTP_BASE + ASTERISK_RTP_PORTS - 1))|g" \
            -e "s|@RTP_TIMEOUT@|${SKLIC_LAB_RTP_TIMEOUT:-30}|g" \
            -e "s|@MODULES@|$modules|g" -e "s|@SOUNDS@|$ASTERISK_SOUNDS|g" -e "s|@MUSIC@|$ASTERISK_MUSIC|g" \
            "$file" >"$etc/$(basename "$file")"
    done
    for file in "$CHECKOUT_DIR"/dialplan/asterisk/*.conf; do
        [ ! -f "$file" ] || cp "$file" "$etc/sklic/"
    done
    [ ! -d "$SOUNDS_DIR" ] || cp -a --no-preserve=ownership "$SOUNDS_DIR/." "$share/"
    chroot "$ASTERISK_ROOT" /bin/sh -c '
        mkdir -p /run/asterisk /var/log/asterisk/cdr-csv /var/spool/asterisk/recording /var/lib/asterisk
        chown -R root:asterisk /etc/asterisk
        chmod -R u=rwX,g=rX,o= /etc/asterisk
        chmod -R a+rX /usr/share/sklic
        chown -R asterisk:asterisk /run/asterisk /var/log/asterisk /var/spool/asterisk /var/lib/asterisk'
}

# Logs in as the service would and waits for FullyBooted: before it the login works and nothing else does.
asterisk_booted() (
    exec 3<>"/dev/tcp/127.0.0.1/$SKLIC_LAB_AMI_PORT" || exit 1
    printf 'Action: Login\r\nUsername: sklic\r\nSecret: %s\r\n\r\n' "$(secret_of ami)" >&3
    while IFS= read -r -t 5 line <&3; do
        [[ $line != Event:\ FullyBooted* ]] || exit 0
        [[ $line != Response:\ Error* ]] || exit 1
    done
    exit 1
)

asterisk_start() {
    if process_of asterisk >/dev/null; then
        return 0
    fi
    stamp_is asterisk-root "$(asterisk_root_inputs)" || die "the Asterisk root is not built (or from other inputs): run 'lab.sh install'"
    port_must_be_free SKLIC_LAB_AMI_PORT "Asterisk's manager"
    port_must_be_free SKLIC_LAB_SIP_PORT "Asterisk's SIP"
    asterisk_configure
    # The logs of one run only; the one before stays beside it.
    local log=$ASTERISK_ROOT/var/log/asterisk
    [ ! -f "$log/full.log" ] || mv "$log/full.log" "$log/full.log.1"
    ln -sfn "$log/full.log" "$LOG_DIR/asterisk-full.log"
    # Two sockets for a call, and some for files: the usual limit of 1,024 ends at 400 calls.
    ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"
    cd /
    start_process asterisk chroot "$ASTERISK_ROOT" /usr/sbin/asterisk -f -n -U asterisk -G asterisk
    wait_ready asterisk 30 asterisk_booted
    say "Asterisk runs: SIP 127.0.0.1:$SKLIC_LAB_SIP_PORT, manager 127.0.0.1:$SKLIC_LAB_AMI_PORT"
}

asterisk_stop() { end_process asterisk TERM 20; }

asterisk_kill() { end_process asterisk KILL 5; }
