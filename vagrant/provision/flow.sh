#!/bin/bash
# One conference across the three machines of vagrant/Vagrantfile: the service's machine has the switch's machine call telephones here.
# Usage: flow.sh   (on the machine of the telephones; the lab is installed)
# SKLIC_FLOW_SERVICE, SKLIC_FLOW_HERE and SKLIC_FLOW_PASSWORD name other addresses and the account's password;
# SKLIC_FLOW_PHONES=there: telephones answer at the other side of the trunk already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
api=${SKLIC_FLOW_SERVICE:-http://192.168.56.11:8080}/api/v1
here=${SKLIC_FLOW_HERE:-192.168.56.12}
# machine-service.sh makes the account with the password of the lab.
password=${SKLIC_FLOW_PASSWORD:-vagrant-$(sha256sum Cargo.lock | cut -c1-24)}
work=$(mktemp -d)
phones=''
leave() {
    [ -z "$phones" ] || kill "$phones" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}
call() { curl -fsS -b "$work/cookies" -c "$work/cookies" -H 'Sec-Fetch-Site: same-origin' -H 'Content-Type: application/json' "$@"; }
# until_it WORDS COUNT PATTERN: waits until the conference shows a pattern so many times.
until_it() {
    local tries=150
    until [ "$(call "$api/conferences/$conference" | grep -o "$3" | wc -l)" -ge "$2" ]; do
        [ $((tries -= 1)) -gt 0 ] || fail "never: $1; it is: $(call "$api/conferences/$conference" | head -c 1000)"
        sleep 0.2
    done
    echo "- $1"
}

if [ "${SKLIC_FLOW_PHONES:-}" != there ]; then
    (cd "$work" && exec sipp -sf "$OLDPWD/tests/sipp/uas-answer.xml" -i "$here" -p 5080 -mp 20000 -aa -nostdin -skip_rlimit -timeout 300 \
        -key number phone -key audio_port 9 -key proxy "$here:5080" -key switch "$here:5060" >sipp.log 2>&1) &
    phones=$!
fi
call "$api/login" -d "{\"user_number\": \"1001\", \"password\": \"$password\"}" >/dev/null || fail "the service does not let the account 1001 in"
conference=$(call "$api/conferences" -d '{"title": "Three machines", "participants": [{"name": "Boris", "phone": "+38640100200"},
    {"name": "Cilka", "phone": "+38640100300"}]}' | grep -o '"id":"[^"]*"' | sed -n 1p | cut -d '"' -f 4)
call -X POST "$api/conferences/$conference/start" >/dev/null
until_it "the convener, Boris and Cilka are in" 3 '"state":"in"'
call -X POST "$api/conferences/$conference/mute" >/dev/null
until_it "Boris and Cilka are muted" 2 '"muted":true'
call -X POST "$api/conferences/$conference/end" >/dev/null
until_it "it is over" 1 '"state":"ended"'
[ "$(call "$api/conferences/$conference/report" | grep -o '"outcome":"answered"' | wc -l)" -ge 3 ] || fail "the report lacks somebody"
echo "flow: a conference was held across the machines, and its report names all three"
