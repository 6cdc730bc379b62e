#!/bin/bash
# The machine of the telephones, for vagrant/Vagrantfile: the lab with its SIPp phones, and `sklic-qa` on the path.
# The scenarios need a switch, a service and a database of their own to break: all of them run here, in the lab's root.
# After `sklic-qa run all` one conference is also held across the machines `pbx` and `service`.
# Usage: machine-phones.sh   (as root; the checkout is in /sklic, with target/debug made by `make build`)
set -euo pipefail
sklic=${SKLIC_CHECKOUT:-/sklic}

[ -x "$sklic/target/debug/sklic-qa" ] || {
    echo "machine-phones.sh: sklic-qa is not built: run \`make build\` on your own machine first" >&2
    exit 1
}
apt-get update -q
"$sklic/vagrant/provision/lab.sh" install
cat >/usr/local/bin/sklic-qa <<WORDS
#!/bin/bash
# Plays scenarios in the lab of $sklic; see its tests/scenarios/README.md.
cd $sklic
status=0
sudo vagrant/provision/lab.sh session -- target/debug/sklic-qa "\$@" || status=\$?
if [ "\${1:-} \${2:-}" = "run all" ]; then
    vagrant/provision/flow.sh || status=\$?
fi
exit \$status
WORDS
chmod 0755 /usr/local/bin/sklic-qa
