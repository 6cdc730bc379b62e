# shellcheck shell=bash
# Clean Debian roots for tests of packages and guides: a suite with some packages and nothing else, as their maintainers leave them.
# Built once by debootstrap and kept as an archive in $LAB_CACHE, like the root of the lab's Asterisk.

# debian_root SUITE DIR [PACKAGE...]: unpacks a clean root into DIR, building its archive first if need be.
debian_root() {
    local suite=$1 root=$2 archive
    shift 2
    archive=$LAB_CACHE/debian-root-$suite-$({
        printf '%s\n' "$@"
        dpkg --print-architecture
        declare -f debian_root_build
    } | hash_of).tar
    mkdir -p "$LAB_CACHE"
    (
        # One builds, the others wait for the archive.
        exec 8>"$LAB_CACHE/lock"
        flock 8
        [ -f "$archive" ] || debian_root_build "$archive" "$suite" "$@"
    )
    remove_tree "$root"
    mkdir -p "$root"
    tar -C "$root" -xpf "$archive" --numeric-owner
}

# Builds a root beside the cache and leaves one archive; what an interrupted build left is removed first.
debian_root_build() {
    local archive=$1 suite=$2 work=$LAB_CACHE/build-debian log=$1.log
    shift 2
    remove_tree "$work"
    # shellcheck disable=SC2064 # the path is meant to be filled in now
    trap "remove_tree '$work'" EXIT
    trap 'exit 130' INT TERM
    mkdir -p "$work"
    say "a clean Debian $suite root by debootstrap (about 30 s)"
    debootstrap --variant=minbase "$suite" "$work" "$(debian_mirror)" >"$log" 2>&1 8>&- ||
        die "debootstrap failed; see $log: $(tail -n 3 "$log")"
    # Nothing is started while packages are installed.
    printf '#!/bin/sh\nexit 101\n' >"$work/usr/sbin/policy-rc.d"
    chmod 0755 "$work/usr/sbin/policy-rc.d"
    if [ $# -gt 0 ]; then
        say "installing $* into it"
        # Some packages look at /proc while they are configured; it goes with the root's removal, too, if this is interrupted.
        mount -t proc proc "$work/proc"
        DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$work" apt-get -o Dpkg::Options::=--force-unsafe-io install -q -y \
            --no-install-recommends "$@" </dev/null >>"$log" 2>&1 8>&- || die "installing failed; see $log: $(tail -n 3 "$log")"
        umount "$work/proc"
    fi
    rm -rf "$work"/var/cache/apt/*.bin "$work"/var/cache/apt/archives/*.deb "$work"/var/lib/apt/lists/*
    tar -C "$work" --one-file-system --numeric-owner -cpf "$archive.new" .
    mv "$archive.new" "$archive"
    rm -f "$log"
}
