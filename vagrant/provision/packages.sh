# shellcheck shell=bash
# The Debian packages that the lab needs, installed without starting any of their services.

LAB_PACKAGES=(ca-certificates debootstrap espeak-ng iproute2 postgresql python3 python3-aiosmtpd python3-icalendar shellcheck sip-tester sox)

# What the console's tests and pictures need besides: a browser, and fonts for what people are called.
BROWSER_PACKAGES=(chromium fonts-liberation fonts-noto-color-emoji)

# A real SMS gateway with its fake message centre, for the tests of messages.
SMS_PACKAGES=(kannel kannel-extras)

# Sets the clock of one process, for the fault harness.
FAULTS_PACKAGES=(libfaketime)

# packages_missing PACKAGE...: those that are not installed.
packages_missing() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

packages_install() {
    local missing
    mapfile -t missing < <(packages_missing "$@")
    if [ "${#missing[@]}" = 0 ]; then
        return 0
    fi
    say "[1/4] Debian packages: installing ${missing[*]} (up to 60 s)"
    [ -r /etc/debian_version ] || die "this is no Debian: the lab is made for Debian 12"

    # Debian's PostgreSQL would make a cluster on port 5432 and start it; the lab has its own cluster.
    # The setting is put there only when PostgreSQL is new on this machine: an existing one is left alone.
    if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        mkdir -p /etc/postgresql-common
        printf '%s\n' '# Written by the Sklic lab before the first installation: it uses clusters of its own.' \
            'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    # Debian asks this program before a package starts its service; 101 means no.
    local policy=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 0755 "$policy"
        # shellcheck disable=SC2064 # the path is meant to be filled in now
        trap "rm -f '$policy'" EXIT
    fi
    # Old package lists name versions that the mirror has dropped: refresh them when they cannot serve.
    if ! apt_quietly install "${missing[@]}"; then
        # An installation that was interrupted has to be finished before the next one.
        dpkg --configure -a </dev/null >>"$LOG_DIR/apt.log" 2>&1 || true
        say "[1/4] Debian packages: refreshing the package lists"
        apt_quietly update || die "apt-get update failed: $(tail -n 3 "$LOG_DIR/apt.log")"
        apt_quietly install "${missing[@]}" || die "apt-get install failed; see $LOG_DIR/apt.log: $(tail -n 3 "$LOG_DIR/apt.log")"
    fi
    if [ -n "$policy" ]; then
        rm -f "$policy"
        trap - EXIT
    fi
}

lab_packages_install() {
    packages_install "${LAB_PACKAGES[@]}"
}

sms_install() {
    packages_install "${SMS_PACKAGES[@]}"
}

faults_install() {
    packages_install "${FAULTS_PACKAGES[@]}"
}

browser_install() {
    packages_install "${BROWSER_PACKAGES[@]}"
}

apt_quietly() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
        --no-install-recommends "$@" </dev/null >>"$LOG_DIR/apt.log" 2>&1
}
