#!/usr/bin/env bash
# The guide for an existing Asterisk, word by word: its own command blocks, in a clean root where an Asterisk already serves an office.
# At the end a conference runs with two phones, the office's dialplan has one more line, and nothing else of it has changed.
# Usage: guide.sh BINARY
# It needs root: everything happens in a root and a network of its own, which end with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# shellcheck source=vagrant/provision/common.sh
source vagrant/provision/common.sh
# shellcheck source=vagrant/provision/asterisk-root.sh
source vagrant/provision/asterisk-root.sh
# shellcheck source=vagrant/provision/debian-root.sh
source vagrant/provision/debian-root.sh

work=${SKLIC_GUIDE_INSIDE:-$(mktemp -d)}
root=$work/root
trap 'umount -R "$root"/{proc,dev/shm} 2>/dev/null || true; remove_tree "$work"' EXIT
if [ -z "${SKLIC_GUIDE_INSIDE:-}" ]; then
    echo "- an office has an Asterisk"
    # Here, for inside nothing can be fetched.
    debian_root sid "$root" asterisk postgresql curl
    # The usual ports are free in a network of our own, which has nothing but its loopback; processes and mounts end with it.
    SKLIC_GUIDE_INSIDE=$work unshare --net --mount --pid --fork --kill-child -- bash "$0" "$@"
    exit
fi

binary=$1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | sed -n 1p)

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    for log in "$root"/var/log/sklic.log "$work"/*.log; do
        [ ! -s "$log" ] || { echo "--- $log" && tail -n 15 "$log"; } >&2
    done
    exit 1
}
in_root() { LC_ALL=C HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"; }
console() { in_root asterisk -rx "$1"; }
# until_true WORDS SECONDS COMMAND...: waits for a state.
until_true() {
    local words=$1 tries=$(($2 * 10))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $((tries -= 1)) -gt 0 ] || fail "never: $words"
        sleep 0.1
    done
}

echo "- it serves the office"
ip link set lo up
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
cp tests/deb/office/{extensions,pjsip}.conf "$root/etc/asterisk/"
install -m 0755 tests/deb/office/systemctl tests/deb/office/apt-get "$root/usr/local/bin/"
# Nobody has it who has not installed it.
mv "$root/usr/bin/curl" "$root/usr/bin/curl.not-named"
cluster=$(ls "$root/etc/postgresql")
in_root pg_ctlcluster "$cluster" main start >"$work/postgres.log" 2>&1 || fail "PostgreSQL does not start"
in_root /usr/sbin/asterisk -f -n -U asterisk -G asterisk >"$work/asterisk.log" 2>&1 &
until_true "Asterisk has booted" 60 console 'core waitfullybooted'
# What the carrier's side of the trunk answers, and a mail server, as on every Debian.
(cd "$work" && sipp -sf "$OLDPWD/tests/sipp/uas-answer.xml" -i 127.0.0.1 -p 5080 -mp 20000 -aa -nostdin -skip_rlimit -timeout 600 \
    -key number phone -key audio_port 9 -key proxy 127.0.0.1:5080 -key switch 127.0.0.1:5060 >sipp.log 2>&1) &
mkdir "$work/mail"
/usr/bin/python3 vagrant/provision/smtp_sink.py --port 25 --directory "$work/mail" --fault-file "$work/fault" >"$work/smtp.log" 2>&1 &
until_true "the mail server listens" 20 bash -c 'exec 3<>/dev/tcp/127.0.0.1/25'
cp -r "$root/etc/asterisk" "$work/before"
console 'dialplan show office' >"$work/office-before"

echo "- the guide is followed word by word"
# The lab has spoken the announcements already; without a lab they are made here.
[ ! -d "$LAB_DIR/sounds/prompts" ] || export SKLIC_DEB_SOUNDS=$LAB_DIR/sounds
SKLIC_DEB_COMPRESSION=none packaging/deb/build.sh "$binary" "$root/root/packages" "$version" 2>"$work/build.log" || fail "the packages cannot be built"
awk '/^```sh$/ {inside = 1; next} /^```$/ {inside = 0} inside' docs/integrator-asterisk.md >"$root/root/guide.sh"
[ "$(grep -c . "$root/root/guide.sh")" -gt 30 ] || fail "the guide has hardly any commands"
in_root bash -euo pipefail -c 'cd /root/packages && . /root/guide.sh' >"$work/guide.log" 2>&1 || fail "the guide's commands fail"
sed 's/^/    /' "$work/guide.log" | grep -E '^    (ok|ERROR|WARNING|unknown) ' || true
! grep -qE '^(ERROR|WARNING)' "$work/guide.log" || fail "the doctor is not content"

echo "- a conference runs"
members() { [ "$(console 'confbridge list' | grep -c '^sklic-[0-9]* *2 ')" = 1 ]; }
until_true "two are in the conference" 30 members

echo "- the office is as it was, but for one line"
changes=$(diff "$work/before/extensions.conf" "$root/etc/asterisk/extensions.conf" || true)
if [ "$(grep -c "^[<>]" <<<"$changes")" != 1 ] || ! grep -qx '> #include "sklic/extensions-sklic.conf"' <<<"$changes"; then fail "the dialplan was changed: $changes"; fi
cmp -s "$work/before/pjsip.conf" "$root/etc/asterisk/pjsip.conf" || fail "the office's SIP was changed"
console 'dialplan show office' | cmp -s - "$work/office-before" || fail "the office's own extensions are others now"

echo "- it ends in order, with its report"
api=http://127.0.0.1:8080/api/v1
token=$(in_root sklic account token --user-number 1001 | tail -n 1)
conference=$(curl -fsS "$api/conferences" -H "Authorization: Bearer $token" | grep -o '"id":"[^"]*"' | sed -n 1p | cut -d '"' -f 4)
curl -fsS -X POST "$api/conferences/$conference/end" -H "Authorization: Bearer $token" >/dev/null || fail "it cannot be ended"
mailed() { grep -lq 'ana@example.org' "$work"/mail/*.eml; }
until_true "the report is mailed" 60 mailed

echo "- another one, as on the three machines of the Vagrantfile"
SKLIC_FLOW_SERVICE=http://127.0.0.1:8080 SKLIC_FLOW_PHONES=there SKLIC_FLOW_PASSWORD=$(cat "$root/root/sklic-1001") \
    vagrant/provision/flow.sh >"$work/flow.log" 2>&1 || fail "no conference across the machines"
sed 's/^/    /' "$work/flow.log"
kill -TERM "$(cat "$root/run/sklic.pid")"
in_root pg_ctlcluster "$cluster" main stop -m fast || true
echo "guide: all as promised"
