#!/usr/bin/env bash
# The Vagrantfile holds, as far as can be told without a hypervisor, and every script that it names is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../vagrant"

while read -r script; do
    [ -x "$script" ] || {
        echo "FAILED: the Vagrantfile names $script, which cannot be run" >&2
        exit 1
    }
done < <(grep -oE 'provision/[a-z-]+\.sh' Vagrantfile | sort -u)
if ! command -v vagrant >/dev/null && [ "$(id -u)" = 0 ]; then
    # 16 MB from Debian's own archive, some 15 s.
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends vagrant >/dev/null 2>&1 || true
fi
if ! command -v vagrant >/dev/null; then
    echo "*** SKIPPED: vagrant is not installed, so the Vagrantfile was not validated (apt-get install --no-install-recommends vagrant) ***"
    exit 0
fi
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
for switch in asterisk freeswitch; do
    SKLIC_PBX=$switch VAGRANT_HOME=$home VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_DOTFILE_PATH=$home/state vagrant validate --ignore-provider
done
