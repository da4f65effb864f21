#!/bin/sh
# tunnel.sh: PID 1 of the wireguard container. Keeps every tunnel of $TUNNELS_DIR/<tunnel>/<tunnel>.conf up.
#
# One worker a tunnel, so that a bad one never holds up another. It takes a changed Secret over live: `wg syncconf`
# keeps the sessions of a running interface, and the first start is the same operation on a new one. What cannot be
# taken over is named in the log (never a value) and tried again, and the version in force stays. wg-quick is not used:
# it restarts what it changes, overwrites resolv.conf, prints keys, runs what a Secret says, captures the pod's routes.
#
# A forward leaves by its tunnel or not at all. The pod's main routing table is never touched, so AllowedIPs may cover
# the cluster's own networks: each tunnel has a routing table of its own, used only by sockets bound to its interface
# (forward.sh), by packets with its mark (kernel.sh), from its own addresses (the reverse path check needs that), and to
# its DNS servers. The table ends in `unreachable`, and the rules that lead to it are only ever added, each before what
# could need it: at no moment, and not while the tunnel is down or gone, does a packet of the tunnel find another way.
# Two tunnels may carry the same networks; of two with the same DNS server the first one serves.
#
# A tunnel is up while its newest handshake is younger than $MAX_HANDSHAKE_AGE: a healthy one with keepalive renews it
# every 120-140 s. (That there was a handshake says nothing.)
set -u
: "${TUNNELS_DIR:=/etc/flowgen-gateway/tunnels}" # the Secrets, one directory each
: "${RUN_DIR:=/run/flowgen-gateway}"             # private, in memory: holds keys
: "${UP_DIR:=/run/flowgen-tunnels}"              # for the other scripts: a tunnel that is up has a file here
: "${CLIENT_INTERFACE:=eth0}" "${POLL:=1}" "${MAX_HANDSHAKE_AGE:=180}"
: "${DRAIN:=5}" # seconds that open sessions get after SIGTERM; the same as forward.sh's
export WG_ENDPOINT_RESOLUTION_RETRIES="${WG_ENDPOINT_RESOLUTION_RETRIES:-2}"
scripts=${0%/*} logged=''

log() { [ "$*" = "$logged" ] || echo "tunnel $tunnel: $*" >&2; logged=$*; } # not the same again and again
nap() { sleep "$1" & wait $!; } # a trap interrupts `wait`, not `sleep`

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

create_interface() { # where there is none: the kernel's, or else wireguard-go's
  wg show "$tunnel" >/dev/null 2>&1 || ip link add dev "$tunnel" type wireguard 2>/dev/null ||
    wireguard-go "$tunnel" >/dev/null 2>&1 ||
    { echo "neither the kernel nor wireguard-go makes an interface" >&2; return 1; }
}
delete_interface() { ! wg show "$tunnel" >/dev/null 2>&1 || ip link del dev "$tunnel"; }

set_mtu() { # CONFIG; by default what fits into the packets of the pod's own network, as wg-quick does
  mtu=$(values mtu "$1" | tail -n 1)
  ip link set dev "$tunnel" mtu "${mtu:-$(($(cat "/sys/class/net/$CLIENT_INTERFACE/mtu") - 80))}"
}

add_rule() { # ADDRESS SELECTOR...: what it selects goes by the tunnel's table
  any=$1 && shift
  failure=$(ip_for "$any" rule add "$@" lookup "$number" pref "$number" 2>&1) && return
  case $failure in *exists*) ;; *) echo "$failure" >&2; return 1 ;; esac
}

set_addresses() { # CONFIG; without their prefix, for which the kernel would add a route to the main table
  wanted=$(values address "$1")
  for address in $(values address "$in_force" "$candidate"); do
    echo "$wanted" | grep -qxF "$address" || ip addr del "$address" dev "$tunnel" 2>/dev/null
  done
  for address in $wanted; do
    add_rule "$address" from "$address" && ip_for "$address" addr replace "$address" dev "$tunnel" || return
  done
}

set_routes() { # a version's routes bear one of two protocol numbers: the new ones are there before the old ones go
  new=100 old=101
  [ -z "$(ip_for 0.0.0.0 route show table "$number" proto 100; ip_for :: route show table "$number" proto 100)" ] ||
    new=101 old=100
  for prefix in $(wg show "$tunnel" allowed-ips | cut -f 2 | tr ' ' '\n' | grep /); do
    ip_for "$prefix" route replace "$prefix" dev "$tunnel" table "$number" proto $new || return
  done
  for any in 0.0.0.0 ::; do ip_for $any route flush table "$number" proto $old; done
}

set_dns_servers() { # CONFIG: neither search domains, nor the cluster's own, nor what is outside AllowedIPs
  servers=
  for server in $(values dns "$1"); do
    ip_for "$server" route show table "$number" match "$server" 2>/dev/null | grep -q "dev $tunnel" || continue
    ! grep -qxF "nameserver $server" /etc/resolv.conf || continue
    add_rule "$server" to "$server" dport 53 && servers="$servers $server" || return
  done
}

apply() { # CONFIG: makes the interface, new or running, what CONFIG says
  rounds=0
  create_interface && wg syncconf "$tunnel" "$1" && set_mtu "$1" || return
  for any in 0.0.0.0 ::; do
    ip_for $any route replace unreachable default metric 2147483647 table "$number" &&
      add_rule $any oif "$tunnel" && add_rule "$any" fwmark "$number" || return
  done
  set_addresses "$1" && ip link set up dev "$tunnel" && set_routes && set_dns_servers "$1"
}

take_over() { # the Secret's present version
  # Not cp: it copies the mode too, and a root that lacks a capability for it does not write to a file of mode 0400.
  if { cat "$secret" >"$seen" && sh "$scripts/normalise.sh" <"$seen" >"$candidate" && apply "$candidate"
     } 2>"$errors"; then
    if [ -e "$in_force" ]; then log "changed, taken over live"; else log "configured"; fi
    mv "$candidate" "$in_force"
    refused=
  elif refused=yes && [ -e "$in_force" ]; then
    log "new version refused, the old one stays: $(reason)"
    apply "$in_force" 2>/dev/null
  else
    log "not up: $(reason)"
    delete_interface
  fi
}

reason() { # of the last failure, without anything that could be a key
  sed 's#[A-Za-z0-9+/]\{20,\}=\{0,1\}#<hidden>#g' "$errors" | tail -n 3 | tr '\n' ' '
}

keep_up() { # the version in force; no answer may mean that the endpoint's name has a new address
  if [ -z "$(ip link show up dev "$tunnel" 2>/dev/null)" ]; then
    apply "$in_force" 2>"$errors" || { log "$(reason)"; return; }
    logged='' && log "interface was gone or down, set up again"
  elif [ ! -e "$UP_DIR/$tunnel" ] && [ "$rounds" -ge 40 ]; then
    apply "$in_force" 2>/dev/null
  fi
}

publish() { # whether the tunnel is up, with its mark and its DNS servers
  newest=$(wg show "$tunnel" latest-handshakes 2>/dev/null | cut -f 2 | sort -n | tail -n 1)
  if [ $(($(date +%s) - ${newest:-0})) -le "$MAX_HANDSHAKE_AGE" ]; then
    [ -e "$UP_DIR/$tunnel" ] || log "up, its other end answers"
    echo "$number$servers" >"$UP_DIR/.$tunnel" && mv "$UP_DIR/.$tunnel" "$UP_DIR/$tunnel"
  elif [ -e "$UP_DIR/$tunnel" ]; then
    rm "$UP_DIR/$tunnel"
    log "no handshake for $MAX_HANDSHAKE_AGE s: its forwards refuse until its other end answers"
  fi
}

worker() { # TUNNEL NUMBER
  tunnel=$1 number=$((10000 + $2)) # of its routing table, its rules and its mark
  secret=$TUNNELS_DIR/$tunnel/$tunnel.conf seen=$RUN_DIR/$tunnel.seen candidate=$RUN_DIR/$tunnel.new
  in_force=$RUN_DIR/$tunnel.conf errors=$RUN_DIR/$tunnel.errors
  refused='' rounds=0 servers=''
  rm -f "$seen"
  while :; do
    : >"$RUN_DIR/$tunnel.alive"
    if [ ! -s "$secret" ]; then
      log "has no Secret (or an empty one), is not up"
      delete_interface
      rm -f "$in_force" "$seen"
    elif ! cmp -s "$secret" "$seen" || { [ -n "$refused" ] && [ "$rounds" -ge 15 ]; }; then
      rounds=0
      take_over
    fi
    [ ! -e "$in_force" ] || keep_up
    publish
    rounds=$((rounds + 1))
    if [ "$rounds" -lt 10 ]; then nap 0.2; else nap "$POLL"; fi # soon after a change the other end should answer
  done
}

finish() { # drain, then give the identity up, so that the next pod can use it
  trap '' TERM INT
  [ -z "$kernel" ] || kill "$kernel" # new connections are forward.sh's now, which can tell their clients of the end
  sleep "$DRAIN" & drain=$!
  # Sessions, open or closing with data on the way: forward.sh's sockets (TCP states 01, 04, 08, 09), and kernel.sh's.
  while cat /proc/net/tcp /proc/net/tcp6 /proc/net/nf_conntrack 2>/dev/null | awk '
    $4 ~ /^0[1489]$/ || /(ESTABLISHED|FIN_WAIT|CLOSE_WAIT) .* mark=1/ { n++ } END { exit !n }' &&
    kill -0 $drain 2>/dev/null; do sleep 0.1; done
  for file in "$RUN_DIR"/*.pid; do
    tunnel=${file##*/} && tunnel=${tunnel%.pid}
    kill "$(cat "$file")" 2>/dev/null
    rm -f "$UP_DIR/$tunnel"
    delete_interface
  done
  for tables in iptables ip6tables; do $tables -w -t mangle -F FLOWGEN-PREROUTING 2>/dev/null; done # see kernel.sh
  exit 0
}

mkdir -p "$RUN_DIR" "$UP_DIR" && chmod 700 "$RUN_DIR" && sh "$scripts/setup.sh"
rm -f "$RUN_DIR"/*.pid && kernel='' # the files: left by a container that was killed
trap finish TERM INT
while :; do
  : >"$RUN_DIR/_tunnel.alive" # no tunnel's name begins with _
  if [ "${FORWARDER:-socat}" = kernel ] && ! { [ -n "$kernel" ] && kill -0 "$kernel" 2>/dev/null; }; then
    sh "$scripts/kernel.sh" & kernel=$!
  fi
  number=0
  for directory in "$TUNNELS_DIR"/*/; do # a worker for each, where none is running
    number=$((number + 1)) directory=${directory%/} && tunnel=${directory##*/}
    case $tunnel in '' | [._-]* | *[!A-Za-z0-9_=+.-]* | ????????????????*) continue ;; esac
    pid=$(cat "$RUN_DIR/$tunnel.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null && continue
    worker "$tunnel" "$number" &
    echo $! >"$RUN_DIR/$tunnel.pid"
  done
  nap "$POLL"
done
