#!/bin/sh
# The machine of the switch, for vagrant/Vagrantfile: a switch from the distribution's packages with the project's include.
# Usage: machine-pbx.sh asterisk|freeswitch   (as root; the checkout is in /sklic)
set -eu
kind=$1
sklic=${SKLIC_CHECKOUT:-/sklic}
service=192.168.56.11 phones=192.168.56.12 here=192.168.56.10

prompts() {
    mkdir -p /usr/share/sklic
    bash "$sklic/dialplan/prompts/make-prompts.sh" /usr/share/sklic/prompts /usr/share/sklic/moh
    chmod -R a+rX /usr/share/sklic
}

asterisk() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # Debian's testing is without Asterisk at times; sid has it.
    if ! apt-cache show asterisk >/dev/null 2>&1; then
        # From wherever this machine has its packages.
        # shellcheck disable=SC2016 # for apt
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n 1p)
        echo "deb $mirror sid main" >/etc/apt/sources.list.d/sid.list
        apt-get update -q
    fi
    apt-get install -q -y --no-install-recommends asterisk asterisk-core-sounds-en-wav espeak-ng sox
    prompts
    mkdir -p /etc/asterisk/sklic
    cp "$sklic"/dialplan/asterisk/*.conf /etc/asterisk/sklic/
    modules=$(dirname "$(find /usr/lib -name app_confbridge.so | sed -n 1p)")
    # The lab's own configuration, with this machine's addresses in the place of loopback.
    for file in "$sklic"/vagrant/provision/asterisk/*.conf; do
        sed -e "s|@AMI_PORT@|5038|g" -e "s|@AMI_SECRET@|$(cat /sklic-secret)|g" -e "s|@SIP_PORT@|5060|g" -e "s|@TRUNK_PORT@|5080|g" \
            -e "s|@RTP_START@|10000|g" -e "s|@RTP_END@|11999|g" -e "s|@RTP_TIMEOUT@|30|g" -e "s|@MODULES@|$modules|g" \
            -e "s|@SOUNDS@|/usr/share/sklic/prompts|g" -e "s|@MUSIC@|/usr/share/sklic/moh|g" \
            -e "s|contact = sip:127.0.0.1|contact = sip:$phones|" -e "s|match = 127.0.0.1|match = $phones|" \
            -e "s|permit = 127.0.0.1/255.255.255.255|permit = $service/255.255.255.255\npermit = $phones/255.255.255.255|" -e "s|127\.0\.0\.1|$here|g" \
            "$file" >"/etc/asterisk/$(basename "$file")"
    done
    chown -R root:asterisk /etc/asterisk
    systemctl enable asterisk
    systemctl restart asterisk
}

freeswitch() {
    apk add --no-cache bash espeak-ng sox freeswitch freeswitch-sample-config
    prompts
    state=/var/lib/freeswitch
    mkdir -p /etc/freeswitch/sklic "$state/log"
    cp "$sklic"/dialplan/freeswitch/*.xml /etc/freeswitch/sklic/
    sed -e "s|@ESL_PORT@|8021|g" -e "s|@ESL_SECRET@|$(cat /sklic-secret)|g" -e "s|@SIP_PORT@|5060|g" -e "s|@TRUNK_PORT@|5080|g" \
        -e "s|@RTP_START@|10000|g" -e "s|@RTP_END@|11999|g" -e "s|@RTP_TIMEOUT@|30|g" -e "s|@CALLS_PER_SECOND@|60|g" \
        -e "s|@SOUNDS@|/usr/share/sklic/prompts|g" -e "s|@MUSIC@|/usr/share/sklic/moh|g" -e "s|@STATE@|$state|g" \
        -e "s|<network-lists/>|<network-lists><list name=\"lab\" default=\"deny\"><node type=\"allow\" cidr=\"$service/32\"/><node type=\"allow\" cidr=\"$phones/32\"/></list></network-lists>|" \
        -e "s|loopback.auto|lab|g" -e "s|127\.0\.0\.1:5080|$phones:5080|g" -e "s|127\.0\.0\.1|$here|g" \
        "$sklic/vagrant/provision/freeswitch/freeswitch.xml" >/etc/freeswitch/freeswitch.xml
    rc-update add freeswitch
    rc-service freeswitch restart
}

# A secret of the lab only, the same on all three machines of the private network.
printf 'vagrant-%s\n' "$(sha256sum "$sklic/Cargo.lock" | cut -c1-24)" >/sklic-secret
chmod 0600 /sklic-secret
"$kind"
