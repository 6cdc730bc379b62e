# shellcheck shell=bash
# Asterisk 22 in a root of its own: Debian 12 has no Asterisk, Debian sid has.
# Nothing of sid is installed on the machine itself; the root is removed with the lab.

ASTERISK_ROOT=$LAB_DIR/asterisk
ASTERISK_PACKAGES=(asterisk asterisk-core-sounds-en-wav)

# A root depends on what is installed into it and on the steps that do it; a changed comment builds no new one.
asterisk_root_inputs() {
    {
        printf '%s\n' "${ASTERISK_PACKAGES[@]}"
        dpkg --print-architecture
        declare -f asterisk_root_build
    } | hash_of
}

# The mirror that this machine's own package manager uses, so that the lab works wherever apt-get does.
debian_mirror() {
    local mirror
    # shellcheck disable=SC2016 # apt-get fills these in
    mirror=$(apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' '$1 == "Debian" && $2 == "main" {print $3; exit}')
    [ -n "$mirror" ] || die "apt knows no Debian mirror: run 'apt-get update' and look at /etc/apt/sources.list.d"
    printf '%s' "${mirror%/}"
}

asterisk_root_install() {
    local inputs archive
    inputs=$(asterisk_root_inputs)
    if stamp_is asterisk-root "$inputs" && [ -x "$ASTERISK_ROOT/usr/sbin/asterisk" ]; then
        return 0
    fi
    process_of asterisk >/dev/null && die "Asterisk runs from the root that is to be replaced: run 'lab.sh stop asterisk' first"
    archive=$LAB_CACHE/asterisk-root-$inputs.tar
    mkdir -p "$LAB_CACHE"
    (
        # One builds, the others wait for the archive.
        exec 8>"$LAB_CACHE/lock"
        flock -n 8 || {
            say "[2/4] Asterisk 22 root: another checkout builds it; waiting"
            flock 8
        }
        [ -f "$archive" ] || asterisk_root_build "$archive"
    )
    say "[2/4] Asterisk 22 root: unpacking the kept archive (about 5 s)"
    remove_tree "$ASTERISK_ROOT.new"
    mkdir -p "$ASTERISK_ROOT.new"
    tar -C "$ASTERISK_ROOT.new" -xpf "$archive" --numeric-owner
    # Only a whole root is ever called $ASTERISK_ROOT.
    rm -f "$STAMP_DIR/asterisk-root"
    remove_tree "$ASTERISK_ROOT"
    mv "$ASTERISK_ROOT.new" "$ASTERISK_ROOT"
    set_stamp asterisk-root "$inputs"
}

# Builds the root beside the cache and leaves one archive; what an interrupted build left is removed first.
asterisk_root_build() {
    local archive=$1 work=$LAB_CACHE/build mirror
    remove_tree "$work"
    # shellcheck disable=SC2064 # the path is meant to be filled in now
    trap "remove_tree '$work'" EXIT
    trap 'exit 130' INT TERM
    mkdir -p "$work"
    mirror=$(debian_mirror)
    say "[2/4] Asterisk 22 root: Debian sid base by debootstrap (about 30 s)"
    debootstrap --variant=minbase sid "$work" "$mirror" >"$LOG_DIR/debootstrap.log" 2>&1 8>&- 9>&- ||
        die "debootstrap failed; see $LOG_DIR/debootstrap.log: $(tail -n 3 "$LOG_DIR/debootstrap.log")"
    printf '#!/bin/sh\nexit 101\n' >"$work/usr/sbin/policy-rc.d"
    chmod 0755 "$work/usr/sbin/policy-rc.d"
    # Papers and translations are of no use in a lab; without them the root is half as big.
    printf '%s\n' 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' 'path-exclude=/usr/share/locale/*' \
        'force-unsafe-io' >"$work/etc/dpkg/dpkg.cfg.d/sklic-lab"
    say "[2/4] Asterisk 22 root: installing ${ASTERISK_PACKAGES[*]} into it (about 15 s)"
    DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$work" apt-get install -q -y --no-install-recommends \
        "${ASTERISK_PACKAGES[@]}" </dev/null >"$LOG_DIR/asterisk-root.log" 2>&1 8>&- 9>&- ||
        die "installing Asterisk failed; see $LOG_DIR/asterisk-root.log: $(tail -n 3 "$LOG_DIR/asterisk-root.log")"
    chroot "$work" /usr/sbin/asterisk -V >&2
    rm -rf "$work"/var/cache/apt/*.bin "$work"/var/cache/apt/archives/*.deb "$work"/var/lib/apt/lists/* \
        "$work"/usr/share/doc/* "$work"/usr/share/man/* "$work"/usr/share/locale/* "$work"/etc/asterisk/*
    say "[2/4] Asterisk 22 root: keeping it in $archive"
    # The newest two older ones stay: checkouts of different ages on one machine must not drive each other out.
    find "$LAB_CACHE" -name 'asterisk-root-*' -printf '%T@ %p\n' | sort -rn | tail -n +3 | cut -d' ' -f2- | xargs -r rm -f
    # /proc and /sys are empty there unless debootstrap left them mounted: never pack another file system.
    tar -C "$work" --one-file-system --numeric-owner -cpf "$archive.new" .
    mv "$archive.new" "$archive"
}
