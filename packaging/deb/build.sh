#!/usr/bin/env bash
# Makes the Debian packages: sklic, sklic-asterisk, sklic-freeswitch and sklic-prompts, with dpkg-deb and nothing else.
#
# Usage: build.sh BINARY OUTPUT_DIR [VERSION]
#
# BINARY is a built `sklic` with the console inside; VERSION is the one of Cargo.toml if it is not given.
# SKLIC_DEB_COMPRESSION=none makes bigger ones more quickly (xz without it).
# SKLIC_DEB_SOUNDS names a folder with prompts/ and moh/ that are made already.
# Needs espeak-ng and sox for the announcements, as the lab does.
set -euo pipefail

[ $# -ge 2 ] || {
    sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
binary=$(realpath "$1")
mkdir -p "$2"
output=$(realpath "$2")
version=${3:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$checkout/Cargo.toml" | sed -n 1p)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Whoever builds, the files are readable by all unless said otherwise.
umask 022

# put MODE SOURCE TARGET: one file, its folders made.
put() { install -D -m "$1" "$2" "$3"; }

# compressed SOURCE TARGET: a document as Debian keeps it; without the time, so that the same input gives the same bytes.
compressed() {
    mkdir -p "$(dirname "$2")"
    gzip -9 -n -c "$1" >"$2"
}

# The release of the C library whose symbols the binary needs.
libc_needed() {
    readelf -W --version-info "$1" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1 | cut -d_ -f2
}

# The papers that every package has.
papers() {
    local root=$1 name=$2 doc
    doc=$root/usr/share/doc/$name
    put 0644 "$here/copyright" "$doc/copyright"
    {
        printf '%s (%s) stable; urgency=medium\n\n' "$name" "$version"
        sed -n '/^- /s/^- /  * /p' "$checkout/CHANGELOG.md"
        printf '\n -- Sklic <sklic@example.org>  %s\n' "$(date -u -R -r "$checkout/CHANGELOG.md")"
    } >"$work/changelog"
    compressed "$work/changelog" "$doc/changelog.gz"
}

# finish NAME ARCHITECTURE: control files, sums, and the package.
finish() {
    local name=$1 architecture=$2 root=$work/$1 script size
    mkdir -p "$root/DEBIAN"
    papers "$root" "$name"
    size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
    sed -e "s/@VERSION@/$version/g" -e "s/@ARCHITECTURE@/$architecture/g" -e "s/@SIZE@/$size/g" -e "s/@LIBC@/$(libc_needed "$binary")/g" \
        "$here/$name/control" >"$root/DEBIAN/control"
    for script in preinst postinst prerm postrm; do
        [ ! -f "$here/$name/$script" ] || put 0755 "$here/$name/$script" "$root/DEBIAN/$script"
    done
    # What lies in /etc is the operator's: an upgrade asks before it replaces what he has changed.
    if [ -d "$root/etc" ]; then
        (cd "$root" && find etc -type f -printf '/%p\n' | LC_ALL=C sort) >"$root/DEBIAN/conffiles"
    fi
    (cd "$root" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
    dpkg-deb --root-owner-group "-Z${SKLIC_DEB_COMPRESSION:-xz}" --build "$root" "$output/${name}_${version}_$architecture.deb" >&2
}

service() {
    local root=$work/sklic page
    mkdir -p "$root/usr/bin"
    # The debug build's symbols are of no use on an operator's machine.
    strip --strip-all -o "$root/usr/bin/sklic" "$binary"
    chmod 0755 "$root/usr/bin/sklic"
    put 0644 "$checkout/packaging/sklic.service" "$root/lib/systemd/system/sklic.service"
    # The SMS gateways of the sample are examples, and nobody has them.
    sed '/^\[\[sms_gateway\]\]/,/^\[messages\]/ {/^\[messages\]/! {/./ s/^/# /}}' "$checkout/packaging/sklic.toml" >"$work/sklic.toml"
    put 0640 "$work/sklic.toml" "$root/etc/sklic/sklic.toml"
    "$binary" papers "$work/papers"
    for page in "$work"/papers/man1/*.1; do
        compressed "$page" "$root/usr/share/man/man1/$(basename "$page").gz"
    done
    put 0644 "$work/papers/completions/sklic.bash" "$root/usr/share/bash-completion/completions/sklic"
    put 0644 "$work/papers/completions/_sklic" "$root/usr/share/zsh/vendor-completions/_sklic"
    put 0644 "$work/papers/completions/sklic.fish" "$root/usr/share/fish/vendor_completions.d/sklic.fish"
    find "$checkout/docs" -maxdepth 1 -name '*.md' -exec install -D -m 0644 -t "$root/usr/share/doc/sklic/" {} +
    put 0644 "$checkout/sql/tariffs/sample.csv" "$root/usr/share/doc/sklic/examples/tariff.csv"
    put 0644 "$checkout/sql/tariffs/README.md" "$root/usr/share/doc/sklic/tariffs.md"
    find "$checkout/packaging/monitoring" -type f -exec install -D -m 0644 -t "$root/usr/share/doc/sklic/examples/monitoring/" {} +
    finish sklic "$(dpkg --print-architecture)"
}

prompts() {
    local root=$work/sklic-prompts
    if [ -n "${SKLIC_DEB_SOUNDS:-}" ]; then
        mkdir -p "$root/usr/share/sklic"
        cp -r --no-preserve=ownership "$SKLIC_DEB_SOUNDS/prompts" "$SKLIC_DEB_SOUNDS/moh" "$root/usr/share/sklic/"
    else
        bash "$checkout/dialplan/prompts/make-prompts.sh" "$root/usr/share/sklic/prompts" "$root/usr/share/sklic/moh"
    fi
    chmod -R u=rwX,go=rX "$root/usr"
    finish sklic-prompts all
}

asterisk() {
    local root=$work/sklic-asterisk file
    for file in extensions-sklic confbridge-sklic; do
        put 0644 "$checkout/dialplan/asterisk/$file.conf" "$root/etc/asterisk/sklic/$file.conf"
    done
    for file in manager-sklic musiconhold-sklic; do
        put 0644 "$checkout/dialplan/asterisk/$file.conf.sample" "$root/usr/share/doc/sklic-asterisk/examples/$file.conf"
    done
    put 0644 "$checkout/dialplan/asterisk/README.md" "$root/usr/share/doc/sklic-asterisk/README.md"
    finish sklic-asterisk all
}

freeswitch() {
    local root=$work/sklic-freeswitch
    put 0644 "$checkout/dialplan/freeswitch/dialplan-sklic.xml" "$root/etc/freeswitch/dialplan/dialplan-sklic.xml"
    put 0644 "$checkout/dialplan/freeswitch/conference-sklic.xml" "$root/etc/freeswitch/sklic/conference-sklic.xml"
    put 0644 "$checkout/dialplan/freeswitch/keys-sklic.xml" "$root/etc/freeswitch/sklic/keys-sklic.xml"
    put 0644 "$checkout/dialplan/freeswitch/README.md" "$root/usr/share/doc/sklic-freeswitch/README.md"
    finish sklic-freeswitch all
}

service
prompts
asterisk
freeswitch
