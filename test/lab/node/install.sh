#!/bin/sh
# install.sh: installs what the tests on a real node need on Debian (requirements.ts names the same packages).
set -eu
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  containerd containernetworking-plugins debootstrap dnsmasq-base iproute2 iptables postgresql procps runc util-linux \
  wireguard-go wireguard-tools >/dev/null
