#!/bin/sh
# setup.sh: sets what the pod's network should have and can live without. Called by tunnel.sh before the first tunnel.
#
# Clusters refuse `sysctls` in a pod's spec, and a container that is not privileged has /proc/sys read-only: a setting
# that is refused is said and is no failure, because no guarantee of the gateway depends on it.
set -u
setting() { # NAME VALUE WHY
  was=$(sysctl -n "$1" 2>/dev/null)
  [ "$was" = "$2" ] || sysctl -w "$1=$2" >/dev/null 2>&1 || echo "setup: $1 stays $was (wanted $2: $3)" >&2
}
setting net.ipv4.conf.all.rp_filter 2 "two tunnels may have the same address"
setting net.ipv4.conf.default.rp_filter 2 "two tunnels may have the same address"
setting net.ipv4.tcp_mtu_probing 1 "finds the packet size where ICMP is blocked"
if [ "${FORWARDER:-socat}" = kernel ]; then
  setting net.ipv4.ip_forward 1 "kernel.sh leaves IPv4 to socat"
  setting net.ipv6.conf.all.forwarding 1 "kernel.sh leaves IPv6 to socat"
fi
