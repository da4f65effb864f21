#!/bin/sh
# install.sh: installs what the tunnel tests need on Debian (requirements.ts names the same packages).
set -eu
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  busybox bzip2 dash dnsmasq-base gcc iproute2 iptables libc6-dev linux-libc-dev make musl-tools postgresql procps \
  shellcheck socat util-linux wireguard-go wireguard-tools >/dev/null
