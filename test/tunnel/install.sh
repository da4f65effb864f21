#!/bin/sh
# install.sh: installs what the tunnel tests need on Debian (requirements.ts names the same packages).
set -eu
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  busybox dash dnsmasq-base inotify-tools iproute2 iptables postgresql procps shellcheck socat util-linux \
  wireguard-go wireguard-tools >/dev/null
