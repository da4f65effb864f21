# shellcheck shell=sh disable=SC2154,SC2034 # variables of the worker, see tunnel.sh
# interface.sh: the part of tunnel.sh that makes a tunnel's interface what a configuration says.

note() { echo "$*" >>"$RUN_DIR/$tunnel.notes"; } # said once the configuration is in force

ip_for() { # ADDRESS COMMAND...: `ip COMMAND...` of the address's family; nothing where the pod has no IPv6
  family=-4
  case $1 in *:*) family=-6 && grep -qx 0 "/proc/sys/net/ipv6/conf/$tunnel/disable_ipv6" 2>/dev/null || return 0 ;; esac
  shift
  ip $family "$@"
}

values() { # KEY FILE...: the comma separated values of the comments `#key = ...`, without a prefix length
  key=$1 && shift
  sed -n "s/^#$key = //p" "$@" 2>/dev/null | tr -s ', ' '\n' | sed 's,/.*,,' | grep .
}

create_interface() { # where there is none: the kernel's, or else wireguard-go's; with USERSPACE one of the two
  wg show "$tunnel" >/dev/null 2>&1 && return
  lacks=''
  if [ "$USERSPACE" != true ]; then
    failure=$(ip link add dev "$tunnel" type wireguard 2>&1) && return
    case $failure in
      *[Nn]'ot permitted'*) lacks='the container has no NET_ADMIN' ;;
      *) lacks='the node has no WireGuard (Linux 5.6, or the module wireguard)' ;;
    esac
  fi
  if [ "$USERSPACE" = false ]; then :
  elif ! command -v wireguard-go >/dev/null; then lacks="${lacks:+$lacks, }the image has no wireguard-go"
  elif [ ! -c "$TUN_DEVICE" ]; then lacks="${lacks:+$lacks, }the pod has no $TUN_DEVICE (userspace: true mounts it)"
  else
    failure=$(wireguard-go "$tunnel" 2>&1) && return
    lacks="${lacks:+$lacks, }wireguard-go fails: $(echo "$failure" | tail -n 1)"
  fi
  echo "no interface can be made: $lacks" >&2
  return 1
}
delete_interface() { ! wg show "$tunnel" >/dev/null 2>&1 || ip link del dev "$tunnel"; }

set_mtu() { # CONFIG; the gateway's config comes first, then the Secret; by default what fits into the packets of the
  # pod's own network, as wg-quick does, and no more than what the Internet carries: eth0 may have jumbo frames
  mtu=$(($(cat "/sys/class/net/$CLIENT_INTERFACE/mtu") - 80))
  [ "$mtu" -le 1420 ] || mtu=1420
  wanted=$(values mtu "$1" | tail -n 1)
  wanted=$(echo "$TUNNELS" | awk -v tunnel="$tunnel" -v secret="${wanted:-$mtu}" '
    $1 == tunnel && $4 { secret = $4 } END { print secret }')
  ip link set dev "$tunnel" mtu "$wanted"
}

add_rule() { # ADDRESS SELECTOR...: what it selects goes by the tunnel's table
  any=$1 && shift
  failure=$(ip_for "$any" rule add "$@" lookup "$number" pref "$number" 2>&1) && return
  case $failure in *exists*) ;; *) echo "$failure" >&2; return 1 ;; esac
}

set_addresses() { # CONFIG; without their prefix, for which the kernel would add a route to the main table
  own=$(values address "$1")
  for address in $(values address "$in_force" "$candidate"); do
    echo "$own" | grep -qxF "$address" || ip addr del "$address" dev "$tunnel" 2>/dev/null
  done
  for address in $own; do
    add_rule "$address" from "$address" && ip_for "$address" addr replace "$address" dev "$tunnel" || return
  done
}

set_routes() { # a version's routes bear one of two protocol numbers: the new ones are there before the old ones go
  new=100 old=101
  [ -z "$(ip_for 0.0.0.0 route show table "$number" proto 100; ip_for :: route show table "$number" proto 100)" ] ||
    new=101 old=100
  allowed=$(wg show "$tunnel" allowed-ips | cut -f 2 | tr ' ' '\n' | grep /)
  for prefix in $allowed; do
    ip_for "$prefix" route replace "$prefix" dev "$tunnel" table "$number" proto $new || return
  done
  for any in 0.0.0.0 ::; do ip_for $any route flush table "$number" proto $old; done
}

set_dns_servers() { # CONFIG: neither search domains, nor the cluster's own, nor what is outside AllowedIPs
  servers=
  for server in $(values dns "$1"); do
    case $server in *[!0-9.]*) [ "${server#*:}" != "$server" ] || continue ;; esac
    ! grep -qxF "nameserver $server" /etc/resolv.conf || continue
    ip_for "$server" route show table "$number" match "$server" 2>/dev/null | grep -q "dev $tunnel" ||
      { note "DNS server $server is outside AllowedIPs, it is not asked: add it there, or remove the line"; continue; }
    add_rule "$server" to "$server" dport 53 && servers="$servers $server" || return
  done
}

apply() { # CONFIG: makes the interface, new or running, what CONFIG says
  rounds=0
  create_interface && wg syncconf "$tunnel" "$1" && set_mtu "$1" || return
  peers "$1" >"$RUN_DIR/$tunnel.peers"
  restore_endpoints
  for any in 0.0.0.0 ::; do
    ip_for $any route replace unreachable default metric 2147483647 table "$number" &&
      add_rule $any oif "$tunnel" && add_rule "$any" fwmark "$number" || return
  done
  sed -n 's/^#note = //p' "$1" >"$RUN_DIR/$tunnel.notes"
  set_addresses "$1" && ip link set up dev "$tunnel" && set_routes && set_dns_servers "$1"
}
