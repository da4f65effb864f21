#!/bin/sh
# tunnel.sh: PID 1 of the wireguard container. Keeps every tunnel of $TUNNELS_DIR/<tunnel>/<tunnel>.conf up.
#
# One worker a tunnel, so that a bad tunnel never holds up another. A worker compares the Secret with the version in
# force and takes a change over live: `wg syncconf` keeps the sessions of a running interface, and the first start is
# the same operation on a new one. What cannot be taken over is named in the log (never a value), the version in
# force stays, and the new one is tried again with backoff. wg-quick is not used: it restarts what it changes,
# overwrites resolv.conf, prints keys, runs what a Secret says, and its routes capture the pod's own network.
#
# A forward leaves by its tunnel or not at all. The pod's main routing table is never touched, so AllowedIPs may
# cover the cluster's own networks: each tunnel has a routing table of its own, used only
#   - by sockets bound to its interface (forward.sh binds every one),
#   - from its own address (the kernel's reverse path check needs that),
#   - to its DNS servers, port 53.
# While the tunnel is down all of these are unreachable, not routed elsewhere.
# Two tunnels may so carry the same networks. Of two with the same DNS server the first one carries the queries.
set -u
: "${TUNNELS_DIR:=/etc/flowgen-gateway/tunnels}" # the Secrets, one directory each
: "${RUN_DIR:=/run/flowgen-gateway}"             # private, in memory: holds keys
: "${DNS_DIR:=/run/flowgen-dns}"                 # shared with forward.sh: <tunnel>.dns
: "${RESOLV_CONF:=/etc/resolv.conf}"
: "${POLL:=1}" "${MAX_BACKOFF:=60}" "${MAX_HANDSHAKE_AGE:=180}"
: "${DRAIN:=5}" # seconds that open sessions get after SIGTERM; the same as forward.sh's
export WG_ENDPOINT_RESOLUTION_RETRIES="${WG_ENDPOINT_RESOLUTION_RETRIES:-2}"
scripts=$(dirname "$0") logged=''
exec 3>&2 # the log, also where a step's errors are collected

log() { [ "$*" = "$logged" ] || echo "tunnel $tunnel: $*" >&3; logged=$*; } # not the same again and again
now() { date +%s; }
nap() { sleep "$1" & wait $!; } # a trap interrupts `wait`, not `sleep`
interface_exists() { wg show "$tunnel" >/dev/null 2>&1; }
interface_is_up() { [ -n "$(ip link show up dev "$tunnel" 2>/dev/null)" ]; }
has_ipv6() { [ "$(cat "/proc/sys/net/ipv6/conf/$tunnel/disable_ipv6" 2>/dev/null)" = 0 ]; }

ip_for() { # ADDRESS COMMAND...: `ip COMMAND...` of the address's family; nothing where the pod has no IPv6
  case $1 in *:*) family=-6 ;; *) family=-4 ;; esac
  shift
  [ $family = -4 ] || has_ipv6 || return 0
  ip $family "$@"
}

values() { # KEY FILE...: the comma separated values of the comments `#key = ...`, without a prefix length
  key=$1 && shift
  sed -n "s/^#$key = //p" "$@" 2>/dev/null | tr -s ', ' '\n' | sed 's,/.*,,' | grep .
}

create_interface() {
  interface_exists && return
  kernel=$(ip link add dev "$tunnel" type wireguard 2>&1) && return
  "${WG_QUICK_USERSPACE_IMPLEMENTATION:-wireguard-go}" "$tunnel" >/dev/null 2>&1 && interface_exists && return
  echo "no interface, neither by the kernel ($kernel) nor by wireguard-go" >&2
  return 1
}

delete_interface() { ! interface_exists || ip link del dev "$tunnel"; }

set_addresses() { # CONFIG; without their prefix, for which the kernel would add a route to the main table
  wanted=$(values address "$1")
  for address in $(values address "$in_force" "$candidate"); do
    echo "$wanted" | grep -qxF "$address" || ip addr del "$address" dev "$tunnel" 2>/dev/null
  done
  for address in $wanted; do ip_for "$address" addr replace "$address" dev "$tunnel" || return; done
}

set_mtu() { # CONFIG; by default what fits into the packets of the pod's own network, as wg-quick does
  mtu=$(values mtu "$1" | tail -n 1)
  if [ -z "$mtu" ]; then
    outside=$( (ip -4 route show default; ip -6 route show default) | sed -n '1s/.* dev \([^ ]*\).*/\1/p')
    mtu=$(($(cat "/sys/class/net/$outside/mtu" 2>/dev/null || echo 1500) - 80))
  fi
  ip link set mtu "$mtu" dev "$tunnel"
}

# A tunnel has two numbers, each for a routing table and the priority of the rules that lead to it. One is in use; the
# other one is filled, and only then is the first one cleared. A table ends in `unreachable`, which stays when the
# interface goes; an address is there after the rule for it, and the interface is up after both. So there is no moment
# in which a packet that belongs to the tunnel finds another way, not even the kernel's answer to a stray one.
set_routes() { # CONFIG
  old=$number new=$((number + 1))
  if ip rule show | grep -q "^$new:"; then old=$new new=$number; fi
  clear_routes "$new"
  add_prefixes 2>/dev/null # possible on a running interface only
  for any in 0.0.0.0 ::; do
    ip_for $any route add unreachable default metric 2147483647 table "$new" || return
    ip_for $any rule add oif "$tunnel" lookup "$new" pref "$new" || return
  done
  for address in $(values address "$1"); do
    ip_for "$address" rule add from "$address" lookup "$new" pref "$new" || return
  done
  set_addresses "$1" && ip link set up dev "$tunnel" && add_prefixes || return
  servers=
  for server in $(values dns "$1"); do
    is_carried "$server" || continue
    ip_for "$server" rule add to "$server" dport 53 lookup "$new" pref "$new" || return
    servers="$servers$server "
  done
  clear_routes "$old"
}

add_prefixes() {
  for prefix in $(wg show "$tunnel" allowed-ips | cut -f 2 | tr ' ' '\n' | grep /); do
    ip_for "$prefix" route replace "$prefix" dev "$tunnel" table "$new" || return
  done
}

is_carried() { # SERVER: neither a search domain, nor the cluster's own, nor outside AllowedIPs
  case $1 in *[!0-9a-fA-F:.]*) return 1 ;; esac
  ! grep -qxF "nameserver $1" "$RESOLV_CONF" &&
    ip_for "$1" route show table "$new" match "$1" 2>/dev/null | grep -q "dev $tunnel"
}

clear_routes() { # NUMBER
  for family in -4 -6; do
    while ip $family rule del pref "$1" 2>/dev/null; do :; done
    ip $family route flush table "$1" 2>/dev/null # fails where there is nothing to clear
  done
  return 0
}

# Who is at the other end of a tunnel must not reach the listeners, and through them another tunnel's network.
refuse_connections_from_tunnel() {
  for tables in iptables ip6tables; do
    set -- INPUT -i "$tunnel" -p tcp --syn -j DROP
    $tables -w -C "$@" 2>/dev/null || $tables -w -I "$@" 2>/dev/null ||
      log "$tables fails: the other end can reach the listeners"
  done
}

publish_dns() { # an empty line says: this tunnel has no DNS server of its own
  (umask 022 && echo "$servers" >"$DNS_DIR/.$tunnel" && mv "$DNS_DIR/.$tunnel" "$DNS_DIR/$tunnel.dns")
}

apply() { # CONFIG: makes the interface, new or running, what CONFIG says
  create_interface && refuse_connections_from_tunnel && wg syncconf "$tunnel" "$1" && set_mtu "$1" && set_routes "$1" &&
    publish_dns
}

remove_tunnel() { # its rules stay: a query to its DNS server that is still under way must not leave another way
  delete_interface
  rm -f "$DNS_DIR/$tunnel.dns" "$in_force" "$seen"
}

reason() { # of the last failure, without anything that could be a key
  sed 's#[A-Za-z0-9+/]\{20,\}=\{0,1\}#<hidden>#g' "$errors" | tail -n 3 | tr '\n' ' '
}

take_over() { # the Secret's present version
  if sh "$scripts/normalise.sh" <"$seen" >"$candidate" 2>"$errors" && apply "$candidate" 2>"$errors"; then
    if [ -e "$in_force" ]; then log "changed, taken over live"; else log "up"; fi
    mv "$candidate" "$in_force"
    backoff=0
    return
  fi
  backoff=$((backoff > 0 ? backoff * 2 : 1))
  [ "$backoff" -le "$MAX_BACKOFF" ] || backoff=$MAX_BACKOFF
  retry_at=$(($(now) + backoff))
  if [ -e "$in_force" ]; then
    log "new version refused, the old one stays, next try in $backoff s: $(reason)"
    apply "$in_force" 2>/dev/null
  else
    log "not up, next try in $backoff s: $(reason)"
    delete_interface
  fi
}

handshake_is_old() {
  newest=$(wg show "$tunnel" latest-handshakes 2>/dev/null | cut -f 2 | sort -n | tail -n 1)
  [ $(($(now) - ${newest:-0})) -gt "$MAX_HANDSHAKE_AGE" ]
}

keep_up() { # the version in force; an old handshake may mean that the endpoint's name has a new address
  rounds=$((rounds + 1))
  if interface_is_up; then
    [ $((rounds % 30)) -eq 0 ] && handshake_is_old && apply "$in_force" 2>/dev/null
  elif apply "$in_force" 2>"$errors"; then
    logged='' && log "interface was gone or down, up again"
  else
    log "interface is gone or down: $(reason)"
  fi
}

worker() { # TUNNEL NUMBER
  tunnel=$1 number=$((10000 + 2 * $2))
  secret=$TUNNELS_DIR/$tunnel/$tunnel.conf seen=$RUN_DIR/$tunnel.seen candidate=$RUN_DIR/$tunnel.new
  in_force=$RUN_DIR/$tunnel.conf errors=$RUN_DIR/$tunnel.errors
  backoff=0 retry_at=0 rounds=0
  rm -f "$seen"
  while :; do
    : >"$RUN_DIR/$tunnel.alive"
    if [ ! -s "$secret" ]; then
      log "has no Secret (or an empty one), is not up"
      remove_tunnel
    elif ! cmp -s "$secret" "$seen"; then
      cp "$secret" "$seen" && backoff=0 && take_over
    elif [ "$backoff" -gt 0 ] && [ "$(now)" -ge "$retry_at" ]; then
      take_over
    fi
    [ ! -e "$in_force" ] || keep_up
    nap "$POLL"
  done
}

start_workers() { # those that are not running
  number=0
  for directory in "$TUNNELS_DIR"/*/; do
    number=$((number + 1)) directory=${directory%/} && tunnel=${directory##*/}
    case $tunnel in '' | .* | -* | *[!A-Za-z0-9_=+.-]* | ????????????????*) continue ;; esac
    [ -e "$RUN_DIR/$tunnel.pid" ] && read -r pid <"$RUN_DIR/$tunnel.pid" && kill -0 "$pid" 2>/dev/null && continue
    worker "$tunnel" "$number" &
    echo $! >"$RUN_DIR/$tunnel.pid"
  done
}

# In the pod, forward.sh's: TCP states 01, 04, 08, 09, established or closing with data on the way.
open_sessions() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 ~ /^0[1489]$/ { n++ } END { exit !n }'; }

finish() { # drain, then give the identity up, so that the next pod can use it
  trap '' TERM INT
  deadline=$(($(now) + DRAIN))
  while open_sessions && [ "$(now)" -lt "$deadline" ]; do sleep 0.2; done
  for file in "$RUN_DIR"/*.pid; do
    tunnel=${file##*/} && tunnel=${tunnel%.pid}
    [ -e "$file" ] && read -r pid <"$file" && kill "$pid" 2>/dev/null
    delete_interface
  done
  exit 0
}

umask 077
mkdir -p "$RUN_DIR" "$DNS_DIR"
for file in "$RUN_DIR"/* "$DNS_DIR"/*; do # left by a container that was killed; the version in force is worth keeping
  case $file in *.conf) ;; *) rm -f "$file" ;; esac
done
trap finish TERM INT
while :; do
  : >"$RUN_DIR/alive"
  start_workers
  nap "$POLL"
done
