#!/bin/sh
# init.sh: the init container. Copies the scripts of this version into the pod, and sets the pod's network up before any
# packet can leave by it. Says what the node lacks.
#
# The pod runs the copy. The next version's ConfigMap reaches a running pod's volume before the pod is replaced, and
# parts of two versions must not call each other.
#
# The rules stand before forwarding is on. So a forwarded packet goes from the pod's own network into a tunnel, with
# that tunnel's address, or not at all. Clusters refuse `sysctls` in a pod's spec, and a container that is not
# privileged has /proc/sys read-only. A setting or rule that is refused is said in the log, and by `kubectl describe
# pod`. It is no failure: the sockets of forward.sh and the rules of kernel.sh keep to their tunnels by themselves.
set -u
: "${SCRIPTS_DIR:=/run/flowgen-scripts}" "${TERMINATION_LOG:=/dev/termination-log}"
: "${TUNNELS:=}" "${CLIENT_INTERFACE:=eth0}" "${USERSPACE:=auto}" "${TUN_DEVICE:=/dev/net/tun}"
from=${0%/*}

say() {
  echo "init: $*" >&2
  echo "$*" 2>/dev/null >>"$TERMINATION_LOG"
}

rules() { # COMMAND: for iptables-restore; the chains that stand already are asked for before it takes its lock
  echo '*filter'
  echo ':FLOWGEN-INIT - [0:0]'
  echo "$TUNNELS" | while read -r tunnel _; do
    [ -n "$tunnel" ] || continue
    echo "-A FLOWGEN-INIT -i $CLIENT_INTERFACE -o $tunnel -j RETURN"
    echo "-A FLOWGEN-INIT -i $tunnel -o $CLIENT_INTERFACE -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
  done
  echo '-A FLOWGEN-INIT -j DROP'
  hook "$1" filter FORWARD
  echo 'COMMIT'
  echo '*nat'
  echo ':FLOWGEN-INIT - [0:0]'
  echo "$TUNNELS" | while read -r tunnel _; do [ -z "$tunnel" ] || echo "-A FLOWGEN-INIT -o $tunnel -j MASQUERADE"; done
  hook "$1" nat POSTROUTING
  echo 'COMMIT'
}
hook() { # COMMAND TABLE CHAIN: where the chain does not lead to the rules yet
  "$1" -w -t "$2" -C "$3" -j FLOWGEN-INIT 2>/dev/null || echo "-A $3 -j FLOWGEN-INIT"
}

set_rules() { # COMMAND: iptables or ip6tables
  text=$(rules "$1")
  failure=$(echo "$text" | "$1-restore" -w --noflush 2>&1) ||
    say "$1 refuses the rules of the pod: $(echo "$failure" | head -n 1)"
}

setting() { # NAME VALUE WHY
  # shellcheck disable=SC2086 # a word for each dot
  file=/proc/sys/$(IFS=. && set -- $1 && IFS=/ && echo "$*") was=''
  { read -r was <"$file"; } 2>/dev/null
  [ "$was" = "$2" ] || { echo "$2" >"$file"; } 2>/dev/null || say "$1 stays $was (wanted $2: $3)"
}

check_node() { # tries to make an interface, so that the reason is said before any tunnel waits for one
  tunnel=flowgen-check
  # shellcheck source-path=SCRIPTDIR source=interface.sh
  . "$from/interface.sh"
  failure=$(create_interface 2>&1) || say "$failure"
  delete_interface
  lacks=$(sh "$from/kernel-release.sh")
  [ -z "$lacks" ] || say "$lacks"
}

# The pod waits for this script, and the kubelet sees its end up to a second later: what can be done at once is.
cp "$from"/*.sh "$SCRIPTS_DIR" || exit 1
check_node &
[ ! -e /proc/net/if_inet6 ] || set_rules ip6tables &
set_rules iptables
setting net.ipv4.conf.all.rp_filter 2 "two tunnels may have the same address"
setting net.ipv4.conf.default.rp_filter 2 "two tunnels may have the same address"
setting net.ipv4.tcp_mtu_probing 1 "finds the packet size where ICMP is blocked"
wait # the rules stand
if [ "${FORWARDER:-socat}" = kernel ]; then
  setting net.ipv4.ip_forward 1 "kernel.sh leaves IPv4 to socat"
  setting net.ipv6.conf.all.forwarding 1 "kernel.sh leaves IPv6 to socat"
fi
