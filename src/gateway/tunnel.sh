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
# its DNS servers (interface.sh). The table ends in `unreachable`, and the rules that lead to it are only ever added, each before what
# could need it: at no moment, and not while the tunnel is down or gone, does a packet of the tunnel find another way.
# Two tunnels may carry the same networks; of two with the same DNS server the first one serves.
#
# A tunnel is up while its newest handshake is younger than $MAX_HANDSHAKE_AGE: a healthy one with keepalive renews it
# every 120-140 s. (That there was a handshake says nothing.) Who of several peers does not answer, peers.sh says.
set -u
: "${TUNNELS_DIR:=/etc/flowgen-gateway/tunnels}" # the Secrets, one directory each
: "${RUN_DIR:=/run/flowgen-gateway}"             # private, in memory: holds keys
: "${UP_DIR:=/run/flowgen-tunnels}"              # for the other scripts: a tunnel that is up has a file here
: "${CLIENT_INTERFACE:=eth0}" "${POLL:=1}" "${MAX_HANDSHAKE_AGE:=180}"
: "${DRAIN:=5}" # seconds that open sessions get after SIGTERM; the same as forward.sh's
: "${ANSWER_WITHIN:=15}" "${ENDPOINT_EVERY:=30}"      # see peers.sh
: "${USERSPACE:=auto}" "${TUN_DEVICE:=/dev/net/tun}" # see create_interface in interface.sh
: "${TUNNELS:=}" # lines `tunnel secretName secretKey [mtu]`: the gateway's config of each
scripts=${0%/*} logged=''
# shellcheck source-path=SCRIPTDIR source=interface.sh
. "$scripts/interface.sh"
# shellcheck source-path=SCRIPTDIR source=peers.sh
. "$scripts/peers.sh"

say() { echo "tunnel $tunnel: $*" >&2; }
log() { [ "$*" = "$logged" ] || say "$*"; logged=$*; } # not the same again and again
nap() { sleep "$1" & wait $!; } # a trap interrupts `wait`, not `sleep`

take_over() { # the Secret's present version
  # Not cp: it copies the mode too, and a root that lacks a capability for it does not write to a file of mode 0400.
  if { cat "$secret" >"$seen" && sh "$scripts/normalise.sh" <"$seen" >"$candidate" && apply "$candidate"
     } 2>"$errors"; then
    if [ -e "$in_force" ]; then log "changed, taken over live"; else log "configured"; fi
    mv "$candidate" "$in_force"
    while read -r text; do say "$text"; done <"$RUN_DIR/$tunnel.notes"
    refused='' since=$(date +%s) silent=' ' nameless=' '
    look_up
  elif refused=yes && [ -e "$in_force" ]; then
    log "new version refused, the old one stays: $(reason)"
    apply "$in_force" 2>/dev/null
  else
    log "not up: $(reason)"
    delete_interface
  fi
}

missing() { # why there is no Secret to read
  echo "$TUNNELS" | awk -v tunnel="$tunnel" '
    $1 == tunnel { name = $2 " "; key = $3 }
    END { print "the Secret " name "does not exist, has no key " (key ? key : tunnel ".conf") ", or that is empty" }'
}

reason() { # of the last failure, without anything that could be a key
  sed 's#[A-Za-z0-9+/]\{20,\}=\{0,1\}#<hidden>#g' "$errors" | tail -n 3 | tr '\n' ' '
}

keep_up() { # the version in force
  if [ -z "$(ip link show up dev "$tunnel" 2>/dev/null)" ]; then
    apply "$in_force" 2>"$errors" || { log "$(reason)"; return; }
    say "interface was gone or down, set up again"
    since=$(date +%s)
  fi
  [ "$(date +%s)" -lt "$look_up_at" ] || look_up
  set_endpoints
  [ $((rounds % 5)) != 0 ] || check_peers
}

# Whether the tunnel is up. Its file: `mark [DNS server...]`, then lines `allowed PREFIX` and `own ADDRESS`.
publish() {
  newest=$(wg show "$tunnel" latest-handshakes 2>/dev/null | cut -f 2 | sort -n | tail -n 1)
  if [ $(($(date +%s) - ${newest:-0})) -le "$MAX_HANDSHAKE_AGE" ]; then
    [ -e "$UP_DIR/$tunnel" ] || log "up, its other end answers"
    text=$(echo "$number$servers"; for word in $allowed; do echo "allowed $word"; done; for word in $own; do echo "own $word"; done)
    [ -e "$UP_DIR/$tunnel" ] && [ "$text" = "$published" ] && return
    echo "$text" >"$UP_DIR/.$tunnel" && mv "$UP_DIR/.$tunnel" "$UP_DIR/$tunnel"
    published=$text
  elif [ -e "$UP_DIR/$tunnel" ] && [ $(($(date +%s) - since)) -ge 3 ]; then # a peer that moves has none for a moment
    rm "$UP_DIR/$tunnel"
    log "no handshake for $MAX_HANDSHAKE_AGE s: its forwards refuse until its other end answers"
  fi
}

worker() { # TUNNEL NUMBER
  tunnel=$1 number=$((10000 + $2)) # of its routing table, its rules and its mark
  secret=$TUNNELS_DIR/$tunnel/$tunnel.conf seen=$RUN_DIR/$tunnel.seen candidate=$RUN_DIR/$tunnel.new
  in_force=$RUN_DIR/$tunnel.conf errors=$RUN_DIR/$tunnel.errors
  refused='' rounds=0 servers='' allowed='' own='' published='' silent=' ' nameless=' ' since=0 look_up_at=0
  rm -f "$seen"
  while :; do
    : >"$RUN_DIR/$tunnel.alive"
    if [ ! -s "$secret" ]; then
      log "not up: $(missing)"
      delete_interface
      rm -f "$in_force" "$seen"
    elif ! cmp -s "$secret" "$seen" || { [ -n "$refused" ] && [ "$rounds" -ge 15 ]; }; then
      rounds=0
      take_over
    fi
    [ ! -e "$in_force" ] || keep_up
    publish
    [ $((rounds % 5)) != 0 ] || observe
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

mkdir -p "$RUN_DIR" "$UP_DIR/._metrics" && chmod 700 "$RUN_DIR"
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
