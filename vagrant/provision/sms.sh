# shellcheck shell=bash
# A real SMS gateway: Kannel's bearerbox and smsbox with its fake message centre, on 127.0.0.1.
#
# The fake centre prints each message that it gets, which is what "arrived" means here, and tells Kannel that it is on the phone.
# Kannel's port for the fake centre listens on all interfaces, which cannot be set; it takes connections from 127.0.0.1 only.
# Its printing is in the log that `lab.sh env` calls SKLIC_LAB_SMS_LOG.

KANNEL_DIR=$LAB_DIR/kannel
KANNEL_FAKE=/usr/lib/kannel/test/fakesmsc

kannel_configure() {
    local secret
    secret=$(secret_of kannel)
    (
        umask 077
        mkdir -p "$KANNEL_DIR"
        cat >"$KANNEL_DIR/kannel.conf" <<CONF
group = core
admin-port = $SKLIC_LAB_KANNEL_ADMIN_PORT
admin-interface = 127.0.0.1
admin-password = $secret
admin-allow-ip = 127.0.0.1
smsbox-port = $SKLIC_LAB_KANNEL_BOX_PORT
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
dlr-storage = internal
log-level = 1

group = smsc
smsc = fake
smsc-id = fake
port = $SKLIC_LAB_KANNEL_SMSC_PORT
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = $SKLIC_LAB_KANNEL_BOX_PORT
sendsms-port = $SKLIC_LAB_KANNEL_SEND_PORT
sendsms-interface = 127.0.0.1
sendsms-chars = "0123456789 +-"
log-level = 1

group = sendsms-user
username = sklic
password = $secret
max-messages = 10
concatenation = true
user-allow-ip = 127.0.0.1

group = sms-service
keyword = default
max-messages = 0
text = "none"
CONF
    )
}

# Whether somebody listens on a local port.
kannel_listens() { ! port_is_free "$1"; }

sms_start() {
    if process_of kannel-smsbox >/dev/null && process_of kannel-bearerbox >/dev/null && process_of kannel-smsc >/dev/null; then
        return 0
    fi
    sms_stop
    sms_install
    [ -x "$KANNEL_FAKE" ] || die "$KANNEL_FAKE is not there: is the package kannel-extras whole?"
    local port
    for port in ADMIN BOX SMSC SEND; do port_must_be_free "SKLIC_LAB_KANNEL_${port}_PORT" Kannel; done
    kannel_configure
    start_process kannel-bearerbox /usr/sbin/bearerbox "$KANNEL_DIR/kannel.conf"
    wait_ready kannel-bearerbox 15 kannel_listens "$SKLIC_LAB_KANNEL_BOX_PORT"
    wait_ready kannel-bearerbox 15 kannel_listens "$SKLIC_LAB_KANNEL_SMSC_PORT"
    start_process kannel-smsbox /usr/sbin/smsbox "$KANNEL_DIR/kannel.conf"
    wait_ready kannel-smsbox 15 kannel_listens "$SKLIC_LAB_KANNEL_SEND_PORT"
    : >"$LOG_DIR/kannel-smsc.log"
    # It sends nothing by itself, and stays.
    start_process kannel-smsc "$KANNEL_FAKE" -H 127.0.0.1 -r "$SKLIC_LAB_KANNEL_SMSC_PORT" -m 0 "100 200 text nothing"
    wait_ready kannel-smsc 15 kannel_centre_is_known
    say "Kannel takes messages on 127.0.0.1:$SKLIC_LAB_KANNEL_SEND_PORT; what arrives is in $LOG_DIR/kannel-smsc.log"
}

# Whether the gateway knows the message centre: before, it would not route anything.
kannel_centre_is_known() {
    local status
    exec 3<>"/dev/tcp/127.0.0.1/$SKLIC_LAB_KANNEL_ADMIN_PORT" || return 1
    printf 'GET /status.txt?password=%s HTTP/1.0\r\n\r\n' "$(secret_of kannel)" >&3
    status=$(cat <&3)
    exec 3<&-
    grep -Eq 'fake.*online' <<<"$status"
}

sms_stop() {
    end_process kannel-smsc TERM 5
    end_process kannel-smsbox TERM 10
    end_process kannel-bearerbox TERM 10
}

sms_kill() {
    end_process kannel-smsc KILL 5
    end_process kannel-smsbox KILL 5
    end_process kannel-bearerbox KILL 5
}
