#!/bin/bash
# The machine of the service, for vagrant/Vagrantfile: PostgreSQL and the package, set up as the integrator's guide says.
# Usage: machine-service.sh asterisk|freeswitch   (as root; the checkout is in /sklic, with target/deb made by `make deb`)
set -euo pipefail
kind=$1
sklic=${SKLIC_CHECKOUT:-/sklic}
pbx=192.168.56.10

compgen -G "$sklic/target/deb/sklic_*.deb" >/dev/null || {
    echo "machine-service.sh: there is no package: run \`make deb\` on your own machine first" >&2
    exit 1
}
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends postgresql ca-certificates "$sklic"/target/deb/sklic_*.deb
password=$(head -c 18 /dev/urandom | base64 | tr '+/' 'xy')
su postgres -c 'psql -q -v ON_ERROR_STOP=1' <<SQL
CREATE ROLE sklic LOGIN PASSWORD '$password';
CREATE DATABASE sklic OWNER sklic;
SQL
install -m 0640 -g sklic /dev/null /etc/sklic/database-url
echo "postgres://sklic:$password@127.0.0.1:5432/sklic" >/etc/sklic/database-url
install -m 0640 -g sklic /dev/null /etc/sklic/pbx1-secret
# The secret of the lab that machine-pbx.sh makes in the same way.
printf 'vagrant-%s\n' "$(sha256sum "$sklic/Cargo.lock" | cut -c1-24)" >/etc/sklic/pbx1-secret
sed -i -e "s|^listen = [^#]*|listen = \"0.0.0.0:8080\" |" -e 's|^allowed_prefixes = [^#]*|allowed_prefixes = ["+386"] |' /etc/sklic/sklic.toml
if [ "$kind" = freeswitch ]; then
    sed -i -e 's|^kind = "asterisk"|kind = "freeswitch"|' -e "s|^address = \"127.0.0.1:5038\"|address = \"$pbx:8021\"|" \
        -e '/^username = "sklic" .*FreeSWITCH/d' -e 's|^dial = [^#]*|dial = "sofia/gateway/trunk/{number}" |' /etc/sklic/sklic.toml
else
    sed -i "s|^address = \"127.0.0.1:5038\"|address = \"$pbx:5038\"|" /etc/sklic/sklic.toml
fi
sklic migrate
sklic tariff import /usr/share/doc/sklic/examples/tariff.csv --name base --valid-from 2026-01-01
# The account of flow.sh, with the same secret of the lab as its password.
sklic account add --user-number 1001 --name "Ana Novak" --phone +38640100100 --email ana@example.org --password-stdin </etc/sklic/pbx1-secret
systemctl enable --now sklic
