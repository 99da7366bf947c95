#!/usr/bin/env bash
# Installs the Debian packages that the tests need and this machine lacks; does nothing when all are there.
# The tests start servers of their own on ports of their own: those of the packages stay stopped.
# QUELL_INSTALL_MORE names packages more, each with a command of that name: benches/install.sh sets it.
set -euo pipefail

packages=()
need() { # PACKAGE COMMAND…: the package is missing when the command fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || packages+=("$package")
}

has_faketime() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1'; }
has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb'; }

need dbus command -v dbus-daemon
need gcc command -v cc
need git command -v git
need iproute2 command -v ip
need libc6-dev test -e /usr/include/stdlib.h
need libfaketime has_faketime
need openssh-client command -v ssh
need openssh-server test -x /usr/sbin/sshd
need openssl command -v openssl
need postgresql has_postgres
need prometheus command -v promtool
need prometheus-alertmanager command -v amtool
need python3-aiosmtpd /usr/bin/python3 -c 'import aiosmtpd'
need redis-server command -v redis-server
for package in ${QUELL_INSTALL_MORE:-}; do
  need "$package" command -v "$package"
done

((${#packages[@]})) || exit 0
printf 'installing %s\n' "${packages[*]}"

if ! command -v apt-get >/dev/null; then
  printf 'tests/install.sh: no apt-get here: install what these Debian packages hold yourself: %s\n' "${packages[*]}" >&2
  exit 1
fi

as_root=()
if ((EUID != 0)); then
  if ! sudo -n true 2>/dev/null; then
    printf 'tests/install.sh: not root, and sudo wants a password; run: sudo apt-get install --no-install-recommends %s\n' \
      "${packages[*]}" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi

# Debian asks this file before it starts a service of a package that is being installed; 101 means no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi

# A list of packages may be older than the packages it names: fetch it, then install.
# Several runs on one machine take turns instead of failing on the lock.
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
"${apt[@]}" update
"${apt[@]}" install --no-install-recommends -y "${packages[@]}" >/dev/null
