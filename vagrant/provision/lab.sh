#!/usr/bin/env bash
# The lab: everything that Sklic needs around it, private to this checkout and on 127.0.0.1 only.
set -euo pipefail

# shellcheck source=vagrant/provision/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for part in ports packages asterisk-root postgresql smtp sms sounds asterisk freeswitch session; do
    # shellcheck source=/dev/null
    source "$PROVISION_DIR/$part.sh"
done

usage() {
    cat <<'WORDS'
Usage: lab.sh VERB

  install              Debian packages, an Asterisk 22 root, a PostgreSQL cluster, prompts; does nothing twice
  sms-packages         Kannel for the tests of SMS; does nothing twice
  faults-packages      libfaketime for the fault harness; does nothing twice
  browser              Chromium for the tests of the console; does nothing twice
  start NAME...        starts postgres, asterisk, freeswitch, smtp, sms (or: all) and waits until they are ready;
                       all leaves FreeSWITCH out, which must be installed already, and sms, a Kannel with its fake message centre
  stop NAME...         ends them in order
  kill NAME...         ends them as a power failure would (SIGKILL)
  restart NAME...      stop and start
  status               what is installed and what runs
  env                  KEY=VALUE lines: where everything is
  run -- COMMAND...    starts postgres, then runs the command with the lab's variables; postgres stays
  session -- COMMAND...  installs, runs the command as `run` does, and ends everything after it, also on Ctrl-C
  down [--purge]       ends a session and all that was started;
                       --purge removes all that was installed, but for Debian packages and the kept root

Variables:
  SKLIC_LAB_DIR        where the lab lives (default: .lab in the checkout)
  SKLIC_LAB_CACHE      where built roots are kept for other checkouts (default: /var/cache/sklic-lab)
  SKLIC_FREESWITCH     the folder of an installed FreeSWITCH (default: /usr/local/freeswitch)
  SKLIC_LAB_RTP_TIMEOUT  seconds of silence after which a switch ends a call (default 30), read at its start
  SKLIC_LAB_*_PORT, SKLIC_LAB_RTP_BASE, SKLIC_LAB_PHONE_RTP_BASE   ports; default: chosen free once, then kept
WORDS
}

SERVICES=(postgres asterisk smtp)

services_of() {
    local name
    [ $# -gt 0 ] || die "which one? Name ${SERVICES[*]} freeswitch sms or all"
    for name in "$@"; do
        case $name in
            all) printf '%s\n' "${SERVICES[@]}" ;;
            postgres | asterisk | freeswitch | smtp | sms) printf '%s\n' "$name" ;;
            *) die "there is no '$name': name ${SERVICES[*]} freeswitch sms or all" ;;
        esac
    done
}

lab_install() {
    lab_packages_install
    asterisk_root_install
    postgres_install
    sounds_install
}

lab_env() {
    cat <<KEYS
SKLIC_LAB_DIR=$LAB_DIR
SKLIC_LAB_DATABASE_URL=$(postgres_url)
SKLIC_TEST_DATABASE_URL=$(postgres_url)
SKLIC_LAB_POSTGRES_PORT=$SKLIC_LAB_POSTGRES_PORT
SKLIC_LAB_AMI_PORT=$SKLIC_LAB_AMI_PORT
SKLIC_LAB_AMI_USER=sklic
SKLIC_LAB_AMI_SECRET=$(secret_of ami)
SKLIC_LAB_SIP_PORT=$SKLIC_LAB_SIP_PORT
SKLIC_LAB_TRUNK_PORT=$SKLIC_LAB_TRUNK_PORT
SKLIC_LAB_RTP_BASE=$SKLIC_LAB_RTP_BASE
SKLIC_LAB_RTP_RANGE=$SKLIC_LAB_RTP_BASE-$((SKLIC_LAB_RTP_BASE + RTP_PORTS - 1))
SKLIC_LAB_PHONE_RTP_BASE=$SKLIC_LAB_PHONE_RTP_BASE
SKLIC_LAB_SMTP_PORT=$SKLIC_LAB_SMTP_PORT
SKLIC_LAB_SMTP_FAULT_FILE=$LAB_DIR/smtp-fault
SKLIC_LAB_MAIL_DIR=$MAIL_DIR
SKLIC_LAB_SMS_URL=http://127.0.0.1:$SKLIC_LAB_KANNEL_SEND_PORT/cgi-bin/sendsms
SKLIC_LAB_SMS_USER=sklic
SKLIC_LAB_SMS_SECRET=$(secret_of kannel)
SKLIC_LAB_SMS_LOG=$LOG_DIR/kannel-smsc.log
SKLIC_LAB_SOUNDS_DIR=$SOUNDS_DIR/prompts
SKLIC_LAB_ASTERISK_ROOT=$ASTERISK_ROOT
SKLIC_LAB_ASTERISK_LOG=$ASTERISK_ROOT/var/log/asterisk/full.log
SKLIC_LAB_ASTERISK_CDR=$ASTERISK_ROOT/var/log/asterisk/cdr-csv/Master.csv
SKLIC_LAB_ESL_PORT=$SKLIC_LAB_ESL_PORT
SKLIC_LAB_ESL_SECRET=$(secret_of esl)
SKLIC_LAB_FREESWITCH_SIP_PORT=$SKLIC_LAB_FREESWITCH_SIP_PORT
SKLIC_LAB_FREESWITCH_LOG=$(freeswitch_state)/log/full.log
SKLIC_LAB_FREESWITCH_CDR=$(freeswitch_state)/log/cdr-csv/Master.csv
KEYS
}

export_lab_env() {
    local key value
    while IFS='=' read -r key value; do export "$key=$value"; done < <(lab_env)
}

lab_status() {
    local name pid
    for name in "${SERVICES[@]}" freeswitch kannel-bearerbox kannel-smsbox kannel-smsc; do
        if pid=$(process_of "$name"); then
            printf '%-16s runs (process %s)\n' "$name" "$pid"
        else
            printf '%-16s does not run\n' "$name"
        fi
    done
    if [ -x "$ASTERISK_ROOT/usr/sbin/asterisk" ]; then
        printf '%-16s %s\n' root "$ASTERISK_ROOT"
    else
        printf '%-16s not installed\n' root
    fi
}

lab_down() {
    # The switch first: what it says last may still be written down.
    asterisk_stop
    freeswitch_stop
    freeswitch_forget
    smtp_stop
    sms_stop
    postgres_stop
    if [ "${1:-}" = --purge ]; then
        postgres_discard
        remove_tree "$ASTERISK_ROOT"
        remove_tree "$(state_dir)"
        remove_tree "$LAB_DIR"
    fi
}

verb=${1:-help}
[ $# = 0 ] || shift
case $verb in
    install)
        # Ended from outside, it waits until the step at work has cleaned up after itself.
        trap 'exit 130' INT TERM HUP
        make_lab_dir
        lock_lab
        postgres_tidy
        ports_load
        lab_install
        ;;
    sms-packages)
        trap 'exit 130' INT TERM HUP
        make_lab_dir
        lock_lab
        sms_install
        ;;
    faults-packages)
        trap 'exit 130' INT TERM HUP
        make_lab_dir
        lock_lab
        faults_install
        ;;
    browser)
        trap 'exit 130' INT TERM HUP
        make_lab_dir
        lock_lab
        browser_install
        ;;
    start | stop | kill | restart)
        mapfile -t names < <(services_of "$@")
        [ "${#names[@]}" -gt 0 ] || exit 1
        make_lab_dir
        lock_lab
        ports_load
        for name in "${names[@]}"; do
            if [ "$verb" = restart ]; then
                "${name}_stop"
                "${name}_start"
            else
                "${name}_$verb"
            fi
        done
        ;;
    status) lab_status ;;
    env)
        make_lab_dir
        ports_load
        lab_env
        ;;
    run)
        [ "${1:-}" != -- ] || shift
        [ $# -gt 0 ] || die "run what? lab.sh run -- COMMAND..."
        make_lab_dir
        lock_lab
        ports_load
        here=$PWD
        postgres_start
        cd "$here"
        export_lab_env
        exec 9>&-
        exec "$@"
        ;;
    session)
        [ "${1:-}" != -- ] || shift
        [ $# -gt 0 ] || die "run what? lab.sh session -- COMMAND..."
        make_lab_dir
        session_run "$@"
        ;;
    down)
        [ -d "$LAB_DIR" ] || exit 0
        make_lab_dir
        session_end
        lock_lab
        lab_down "$@"
        ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        die "there is no verb '$verb'"
        ;;
esac
