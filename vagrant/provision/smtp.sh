# shellcheck shell=bash
# The mail server of the lab: takes every mail and writes it to a file; see smtp_sink.py for its faults.

MAIL_DIR=$LAB_DIR/mail

smtp_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$SKLIC_LAB_SMTP_PORT"); }

smtp_start() {
    if process_of smtp >/dev/null; then
        return 0
    fi
    # Debian's own Python, which has the package; the one on the PATH may be another.
    /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || die "python3-aiosmtpd is not installed: run 'lab.sh install'"
    port_must_be_free SKLIC_LAB_SMTP_PORT "the mail server"
    mkdir -p "$MAIL_DIR"
    start_process smtp /usr/bin/python3 "$PROVISION_DIR/smtp_sink.py" --port "$SKLIC_LAB_SMTP_PORT" \
        --directory "$MAIL_DIR" --fault-file "$LAB_DIR/smtp-fault"
    wait_ready smtp 15 smtp_answers
    say "the mail server runs on 127.0.0.1:$SKLIC_LAB_SMTP_PORT; mails go to $MAIL_DIR"
}

smtp_stop() { end_process smtp TERM 5; }

smtp_kill() { end_process smtp KILL 5; }
