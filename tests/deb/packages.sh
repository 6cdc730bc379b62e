#!/usr/bin/env bash
# The Debian packages in a clean root of this machine's release: installed, upgraded, used, removed and purged.
# Usage: packages.sh BINARY [--release]
# BINARY is the built `sklic`; with --release also size and start are held against what is promised.
# Run it in a lab session: `make deb-test`, or as a part of `make test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# shellcheck source=vagrant/provision/common.sh
source vagrant/provision/common.sh
# shellcheck source=vagrant/provision/asterisk-root.sh
source vagrant/provision/asterisk-root.sh
# shellcheck source=vagrant/provision/debian-root.sh
source vagrant/provision/debian-root.sh

binary=$1 mode=${2:-}
: "${SKLIC_LAB_DATABASE_URL:?run this in a lab session: vagrant/provision/lab.sh session -- tests/deb/packages.sh BINARY}"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | sed -n 1p)
work=$(mktemp -d)
chmod 0755 "$work"
root=$work/root
service=''
# A database of its own on the lab's server.
database=sklic_packages_$$
sql() { psql -X -q -v ON_ERROR_STOP=1 "$SKLIC_LAB_DATABASE_URL" -c "$1"; }
sql "CREATE DATABASE $database"
leave() {
    [ -z "$service" ] || kill -KILL "$service" 2>/dev/null || true
    sql "DROP DATABASE IF EXISTS $database WITH (FORCE)" || true
    remove_tree "$work"
}
trap leave EXIT

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}
in_root() { LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"; }
install_all() { in_root dpkg -i "/packages/sklic_$1_$(dpkg --print-architecture).deb" "/packages/sklic-prompts_$1_all.deb" \
    "/packages/sklic-asterisk_$1_all.deb" "/packages/sklic-freeswitch_$1_all.deb" >"$work/dpkg.log" 2>&1 || fail "dpkg: $(tail -n 5 "$work/dpkg.log")"; }
holds() { [ "$(in_root stat -c '%U:%G %a' "$1")" = "$2" ] || fail "$1 is $(in_root stat -c '%U:%G %a' "$1"), not $2"; }

echo "- two versions are packed"
mkdir "$work/packages"
[ "$mode" = --release ] || export SKLIC_DEB_COMPRESSION=none
# The lab has spoken the announcements already.
SKLIC_DEB_SOUNDS=$(dirname "${SKLIC_LAB_SOUNDS_DIR:?}")
export SKLIC_DEB_SOUNDS
packaging/deb/build.sh "$binary" "$work/packages" 0.0.1 2>"$work/build.log" || fail "$(cat "$work/build.log")"
packaging/deb/build.sh "$binary" "$work/packages" "$version" 2>"$work/build.log" || fail "$(cat "$work/build.log")"

echo "- installed into a clean root"
# shellcheck source=/dev/null
debian_root "$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")" "$root"
before=$(in_root find / -xdev -not -path '/packages*' -not -path '/var/lib/dpkg*' -not -path '/var/log*' | LC_ALL=C sort)
accounts=$(in_root cat /etc/passwd /etc/group)
cp -r "$work/packages" "$root/packages"
install_all 0.0.1
[ -z "$(in_root dpkg --verify sklic sklic-prompts sklic-asterisk sklic-freeswitch)" ] || fail "files differ from what was packed"
holds /etc/sklic 'root:sklic 750'
holds /etc/sklic/sklic.toml 'root:sklic 640'
holds /usr/bin/sklic 'root:root 755'
for file in /lib/systemd/system/sklic.service /usr/share/man/man1/sklic.1.gz /usr/share/man/man1/sklic-check.1.gz \
    /usr/share/bash-completion/completions/sklic /etc/asterisk/sklic/extensions-sklic.conf /etc/freeswitch/dialplan/dialplan-sklic.xml \
    /etc/freeswitch/sklic/conference-sklic.xml /etc/freeswitch/sklic/keys-sklic.xml \
    /usr/share/sklic/prompts/sl/greeting.wav /usr/share/sklic/moh/waiting.wav /usr/share/doc/sklic/examples/tariff.csv; do
    in_root test -s "$file" || fail "$file is missing"
done
in_root sklic --version | grep sklic >/dev/null || fail "it does not run"
in_root getent passwd sklic | grep ':/usr/sbin/nologin$' >/dev/null || fail "the service's user may log in"

echo "- before it is set up, the doctor says what is missing"
status=0
words=$(in_root sklic check) || status=$?
[ "$status" = 2 ] || fail "the exit status was $status: $words"
[[ $words == *secret* || $words == *database-url* ]] || fail "the words were: $words"
grep -qx 'ExecStartPre=/usr/bin/sklic migrate --if-reachable' "$root/lib/systemd/system/sklic.service" || fail "the unit does not look before it starts"
! words=$(in_root sklic migrate --if-reachable 2>&1) || fail "a start without a configuration would succeed"
[[ $words == *secret* || $words == *database-url* ]] || fail "the start's words were: $words"

echo "- set up, it runs as its own user and finds its configuration in order"
(umask 027 && printf '%s\n' "${SKLIC_LAB_DATABASE_URL%/*}/$database" >"$root/etc/sklic/database-url")
(umask 027 && head -c 24 /dev/urandom | base64 >"$root/etc/sklic/pbx1-secret")
in_root chown root:sklic /etc/sklic/database-url /etc/sklic/pbx1-secret
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -i -e 's/^kind = "asterisk" /kind = "simulator" /' -e "s/^listen = .*/listen = \"127.0.0.1:$port\"/" "$root/etc/sklic/sklic.toml"
sed -i "s/^name = \"sklic\".*/name = \"node-a\"/" "$root/etc/sklic/sklic.toml"
start_service() {
    LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot --userspec=sklic:sklic "$root" /usr/bin/sklic serve 2>"$work/service.log" &
    service=$!
}
ready() { curl -fsS -o /dev/null "http://127.0.0.1:$port/healthz" 2>/dev/null; }
in_root sklic migrate >"$work/migrate.log" || fail "$(cat "$work/migrate.log")"
began=$(date +%s%N)
start_service
until ready; do
    kill -0 "$service" 2>/dev/null || fail "the service ended: $(cat "$work/service.log")"
    sleep 0.01
done
took=$((($(date +%s%N) - began) / 1000000))
echo "  ready after $took ms"
[ "$(awk '/^Uid:/ {print $2}' "/proc/$service/status")" = "$(in_root id -u sklic)" ] || fail "it does not run as its own user"
curl -fsS "http://127.0.0.1:$port/" | grep -i '<html' >/dev/null || fail "the console is not inside"

echo "- the examples of the API's page work against it"
in_root sklic tariff import /usr/share/doc/sklic/examples/tariff.csv --name base --valid-from 2026-01-01 >/dev/null
head -c 12 /dev/urandom | base64 | in_root sklic account add --user-number 1001 --name "Ana Novak" --phone +38640100100 \
    --email ana@example.org --password-stdin >/dev/null
token=$(in_root sklic account token --user-number 1001 | tail -n 1)
awk '/^```sh$/ {inside = 1; next} /^```$/ {inside = 0} inside' docs/api.md >"$work/api.sh"
[ "$(grep -c . "$work/api.sh")" -gt 15 ] || fail "the page has hardly any examples"
token=$token api=http://127.0.0.1:$port/api/v1 timeout 60 bash -euo pipefail "$work/api.sh" >"$work/api.log" 2>&1 || fail "$(tail -c 600 "$work/api.log")"

echo "- upgraded while it runs: the operator's own configuration stays, the rest is new"
install_all "$version"
# shellcheck disable=SC2016 # dpkg-query fills these in
in_root dpkg-query -W -f '${Version} ${Status}\n' sklic | grep "^$version install ok installed" >/dev/null || fail "it is not upgraded"
grep -q '^name = "node-a"' "$root/etc/sklic/sklic.toml" || fail "the operator's configuration is gone"
holds /etc/sklic/sklic.toml 'root:sklic 640'
[ -s "$root/etc/sklic/database-url" ] || fail "the database's URL is gone"
kill -TERM "$service"
wait "$service" || fail "it did not end in order: $(tail -n 3 "$work/service.log")"
service=''
start_service
until ready; do
    kill -0 "$service" 2>/dev/null || fail "after the upgrade the service ended: $(cat "$work/service.log")"
    sleep 0.05
done
kill -TERM "$service"
wait "$service"
service=''

echo "- removed, the configuration stays; purged, nothing is left"
in_root dpkg -r sklic sklic-asterisk sklic-freeswitch sklic-prompts >"$work/dpkg.log" 2>&1 || fail "$(cat "$work/dpkg.log")"
[ -f "$root/etc/sklic/sklic.toml" ] || fail "a removal took the configuration"
! in_root test -e /usr/bin/sklic || fail "the binary is left"
in_root dpkg --purge sklic sklic-asterisk sklic-freeswitch sklic-prompts >"$work/dpkg.log" 2>&1 || fail "$(cat "$work/dpkg.log")"
after=$(in_root find / -xdev -not -path '/packages*' -not -path '/var/lib/dpkg*' -not -path '/var/log*' | LC_ALL=C sort)
left=$(comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after") | grep -vE '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|^/etc/(subuid|subgid|\.pwd\.lock)$' || true)
[ -z "$left" ] || fail "left after the purge: $left"
[ "$accounts" = "$(in_root cat /etc/passwd /etc/group)" ] || fail "the service's user is left"

echo "- the unit is hardened"
if command -v systemd-analyze >/dev/null; then
    exposure=$(systemd-analyze security --offline=true --no-pager packaging/sklic.service 2>/dev/null | grep -oE 'sklic.service: [0-9.]+' | cut -d' ' -f2)
    echo "  exposure $exposure"
    awk -v exposure="$exposure" 'BEGIN {exit !(exposure != "" && exposure <= 2.5)}' || fail "systemd-analyze security says $exposure"
    words=$(systemd-analyze verify packaging/sklic.service 2>&1 | grep -vE 'is not executable|Command .man ' || true)
    [ -z "$words" ] || fail "systemd-analyze verify says: $words"
else
    echo "  SKIPPED: systemd-analyze is not installed"
fi

if [ "$mode" = --release ]; then
    size=$(stat -c %s "$work/packages/sklic_${version}_$(dpkg --print-architecture).deb")
    echo "- the release's package has $size bytes and is ready after $took ms"
    [ "$size" -lt 15000000 ] || fail "the package is bigger than 15 MB"
    [ "$took" -lt 1000 ] || fail "it needs a second and more to start"
fi
echo "packages: all as promised"
