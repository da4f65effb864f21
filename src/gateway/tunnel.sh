#!/bin/sh
# tunnel.sh: PID 1 of the wireguard container. Keeps every tunnel of $TUNNELS_DIR/<tunnel>/<tunnel>.conf up.
#
# One worker a tunnel, so that a bad tunnel never holds up another. A worker compares the Secret with the version in
# force and takes a change over live: `wg syncconf` keeps the sessions of a running interface, and the first start is
# the same operation on a new one. What cannot be taken over is named in the log (never a value), the version in
# force stays, and the new one is tried again with backoff. wg-quick is not used: it restarts what it changes,
# overwrites resolv.conf, prints keys, and its routes would capture the pod's own network.
#
# A forward leaves by its tunnel or not at all. The pod's main routing table is never touched, so AllowedIPs may
# cover the cluster's own networks: each tunnel has a routing table of its own, used only
#   - by sockets bound to its interface (forward.sh binds every one),
#   - from its own address (the kernel's reverse path check needs that),
#   - to its DNS servers, port 53; these are unreachable, not routed elsewhere, while the tunnel is down.
# Two tunnels may so carry the same networks; of two tunnels with the same DNS server the first one carries the queries.
set -u
: "${TUNNELS_DIR:=/etc/flowgen-gateway/tunnels}" # the Secrets, one directory each
: "${RUN_DIR:=/run/flowgen-gateway}"             # private, in memory: holds keys
: "${DNS_DIR:=/run/flowgen-dns}"                 # shared with forward.sh: <tunnel>.dns
: "${RESOLV_CONF:=/etc/resolv.conf}"
: "${POLL:=1}" "${MAX_BACKOFF:=60}" "${MAX_HANDSHAKE_AGE:=180}"
: "${DRAIN:=5}" # seconds that open sessions get after SIGTERM; the same as forward.sh's
export WG_ENDPOINT_RESOLUTION_RETRIES="${WG_ENDPOINT_RESOLUTION_RETRIES:-2}"
scripts=$(dirname "$0")

log() { echo "tunnel $tunnel: $*" >&2; }
now() { date +%s; }
nap() { sleep "$1" & wait $!; } # a trap interrupts `wait`, not `sleep`
family() { case $1 in *:*) echo -6 ;; *) echo -4 ;; esac; }
interface_exists() { wg show "$tunnel" >/dev/null 2>&1; }
interface_up() { [ -n "$(ip link show up dev "$tunnel" 2>/dev/null)" ]; }
ipv6_is_off() { [ "$(cat "/proc/sys/net/ipv6/conf/$tunnel/disable_ipv6" 2>/dev/null || echo 1)" = 1 ]; }
usable() { case $1 in *:*) ! ipv6_is_off ;; *.*) true ;; *) false ;; esac; } # is ADDRESS of a family this pod has?

values() { # KEY FILE...: the comma separated values of #key lines, one a line
  key=$1 && shift
  sed -n "s/^#$key = //p" "$@" 2>/dev/null | tr ', ' '\n\n' | grep .
}

create_interface() {
  interface_exists && return
  ip link add dev "$tunnel" type wireguard 2>"$RUN_DIR/$tunnel.kernel" && return
  "${WG_QUICK_USERSPACE_IMPLEMENTATION:-wireguard-go}" "$tunnel" >/dev/null 2>&1 && interface_exists && return
  echo "no interface, neither by the kernel ($(cat "$RUN_DIR/$tunnel.kernel")) nor by wireguard-go" >&2
  return 1
}

delete_interface() { if interface_exists; then ip link del dev "$tunnel"; fi; }

# Addresses get no prefix: with one, the kernel would add a route for it to the main table.
set_addresses() { # CONFIG
  wanted=$(values address "$1" | sed 's,/.*,,')
  for address in $(values address "$in_force" "$candidate" | sed 's,/.*,,'); do
    echo "$wanted" | grep -qxF "$address" || ip addr del "$address" dev "$tunnel" 2>/dev/null
  done
  for address in $wanted; do
    if usable "$address"; then ip "$(family "$address")" addr replace "$address" dev "$tunnel" || return; fi
  done
}

set_mtu() { # CONFIG: as wg-quick does: what fits into the packets of the pod's own network
  mtu=$(values mtu "$1" | tail -n 1)
  if [ -z "$mtu" ]; then
    outside=$( (ip -4 route show default; ip -6 route show default) 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
    mtu=$(($(cat "/sys/class/net/$outside/mtu" 2>/dev/null || echo 1500) - 80))
  fi
  ip link set mtu "$mtu" up dev "$tunnel"
}

set_routes() { # adds first and removes afterwards, so that a route that stays is never missing
  wanted=$(wg show "$tunnel" allowed-ips | cut -f 2 | tr ' ' '\n' | grep /)
  for prefix in $wanted; do
    if usable "$prefix"; then ip "$(family "$prefix")" route replace "$prefix" dev "$tunnel" table "$table" || return; fi
  done
  for version in -4 -6; do
    for prefix in $(ip $version route show table "$table" 2>/dev/null | cut -d ' ' -f 1); do
      case $version$prefix in -4default) full=0.0.0.0/0 ;; -6default) full=::/0 ;; *:*/*) full=$prefix ;; *:*) full=$prefix/128 ;; */*) full=$prefix ;; *) full=$prefix/32 ;; esac
      echo "$wanted" | grep -qxF "$full" || ip $version route del "$prefix" table "$table"
    done
  done
}

# The servers that the tunnel can carry; one outside AllowedIPs, or the cluster's own, is left to the pod's resolver.
dns_servers() { # CONFIG
  for server in $(values dns "$1"); do
    case $server in *[!0-9a-fA-F:.]*) continue ;; esac # a search domain
    if grep -qxF "nameserver $server" "$RESOLV_CONF" || ! usable "$server"; then continue; fi
    [ -z "$(ip "$(family "$server")" route show table "$table" match "$server" 2>/dev/null)" ] || echo "$server"
  done
}

clear_rules() { # PRIORITY
  for version in -4 -6; do while ip $version rule del pref "$1" 2>/dev/null; do :; done; done
}

# The new set is complete at one of the tunnel's two priorities before the old set leaves the other one.
set_rules() { # CONFIG
  old=$priority new=$((priority + 1))
  if ip rule show | grep -q "^$new:"; then old=$new new=$priority; fi
  clear_rules "$new"
  ip -4 rule add oif "$tunnel" lookup "$table" pref "$new" || return
  ipv6_is_off || ip -6 rule add oif "$tunnel" lookup "$table" pref "$new" || return
  for address in $(values address "$1" | sed 's,/.*,,'); do
    if usable "$address"; then ip "$(family "$address")" rule add from "$address" lookup "$table" pref "$new" || return; fi
  done
  for server in $servers; do
    ip "$(family "$server")" rule add to "$server" dport 53 lookup "$table" pref "$new" || return
    ip "$(family "$server")" rule add to "$server" dport 53 unreachable pref "$new" || return
  done
  clear_rules "$old"
}

# Who is at the other end of a tunnel must not reach the listeners, and through them another tunnel's network.
refuse_connections_from_tunnel() {
  for tables in iptables ip6tables; do
    set -- INPUT -i "$tunnel" -p tcp --syn -j DROP
    $tables -w -C "$@" 2>/dev/null || $tables -w -I "$@" 2>/dev/null || [ -e "$RUN_DIR/$tunnel.$tables" ] || {
      : >"$RUN_DIR/$tunnel.$tables"
      log "$tables refused: connections from the tunnel's other end to the listeners are not stopped"
    }
  done
}

publish_dns() { # an empty file says: this tunnel has no DNS server of its own
  # shellcheck disable=SC2086 # all on one line
  (umask 022 && echo $servers >"$DNS_DIR/.$tunnel" && mv "$DNS_DIR/.$tunnel" "$DNS_DIR/$tunnel.dns")
}

apply() { # CONFIG: makes the interface, new or running, what CONFIG says
  create_interface && wg syncconf "$tunnel" "$1" && set_addresses "$1" && set_mtu "$1" && set_routes || return
  servers=$(dns_servers "$1")
  set_rules "$1" && publish_dns && refuse_connections_from_tunnel
}

remove_tunnel() { # its rules stay: a query to its DNS server that is still under way must not leave another way
  delete_interface
  rm -f "$DNS_DIR/$tunnel.dns" "$in_force"
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
  backoff=$((backoff * 2))
  [ "$backoff" -gt 0 ] || backoff=1
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
  if interface_up; then
    [ $((rounds % 30)) -eq 0 ] && handshake_is_old && apply "$in_force" 2>/dev/null
  elif apply "$in_force" 2>"$errors"; then
    log "interface was gone or down, up again"
  else
    log "interface is gone or down: $(reason)"
  fi
}

worker() { # TUNNEL NUMBER
  tunnel=$1 table=$((10000 + $2)) priority=$((10000 + 2 * $2))
  secret=$TUNNELS_DIR/$tunnel/$tunnel.conf seen=$RUN_DIR/$tunnel.seen candidate=$RUN_DIR/$tunnel.new
  in_force=$RUN_DIR/$tunnel.conf errors=$RUN_DIR/$tunnel.errors
  backoff=0 retry_at=0 rounds=0
  rm -f "$seen"
  while :; do
    : >"$RUN_DIR/$tunnel.alive"
    if [ ! -s "$secret" ]; then
      if [ -e "$seen" ] || [ -e "$in_force" ]; then log "no Secret, taken down"; else log "waiting for its Secret"; fi
      remove_tunnel
      rm -f "$seen"
      while [ ! -s "$secret" ]; do nap "$POLL" && : >"$RUN_DIR/$tunnel.alive"; done
    elif ! cmp -s "$secret" "$seen"; then
      cp "$secret" "$seen" && backoff=0 && take_over
    elif [ "$backoff" -gt 0 ] && [ "$(now)" -ge "$retry_at" ]; then
      take_over
    fi
    [ ! -e "$in_force" ] || keep_up
    nap "$POLL"
  done
}

valid_name() { case $1 in '' | .* | -* | *[!A-Za-z0-9_=+.-]* | ????????????????*) return 1 ;; esac; }

start_workers() { # those that are not running
  number=0
  for directory in "$TUNNELS_DIR"/*/; do
    number=$((number + 1)) directory=${directory%/}
    tunnel=${directory##*/}
    valid_name "$tunnel" || continue
    pid=
    [ ! -e "$RUN_DIR/$tunnel.pid" ] || read -r pid <"$RUN_DIR/$tunnel.pid"
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && continue
    worker "$tunnel" "$number" &
    echo $! >"$RUN_DIR/$tunnel.pid"
  done
}

# TCP states 01, 04, 08, 09: established or closing with data on the way. forward.sh's sessions are in the same pod.
open_sessions() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 ~ /^0[1489]$/ { found = 1 } END { exit !found }'; }

finish() { # drain, then give the identity up, so that the next pod can use it
  trap '' TERM INT
  deadline=$(($(now) + DRAIN))
  while open_sessions && [ "$(now)" -lt "$deadline" ]; do sleep 0.2; done
  for file in "$RUN_DIR"/*.pid; do
    [ -e "$file" ] || continue
    read -r pid <"$file" && kill "$pid" 2>/dev/null
    tunnel=${file##*/} tunnel=${tunnel%.pid}
    delete_interface
  done
  exit 0
}

umask 077
mkdir -p "$RUN_DIR" "$DNS_DIR"
for file in "$RUN_DIR"/* "$DNS_DIR"/*; do # left by a container that was killed: only the version in force is worth keeping
  case $file in *.conf) ;; *) rm -f "$file" ;; esac
done
trap finish TERM INT
while :; do
  : >"$RUN_DIR/alive"
  start_workers
  nap "$POLL"
done
