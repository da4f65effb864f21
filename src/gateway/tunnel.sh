#!/bin/sh
# tunnel.sh: PID 1 of the wireguard container. Keeps every tunnel of $TUNNELS_DIR/<tunnel>/<tunnel>.conf up.
#
# One worker a tunnel, so that a bad one never holds up another. It takes a changed Secret over live: `wg syncconf`
# keeps the sessions of a running interface, and the first start is the same operation on a new one. A setting that
# cannot be taken over is named in the log (never a value) and tried again, and the version in force stays. Not used is
# wg-quick. It restarts the interface at a change, overwrites resolv.conf, prints keys, runs commands of a Secret, and
# captures the pod's routes.
#
# A forward leaves by its tunnel or not at all. The pod's main routing table is never touched, so AllowedIPs may cover
# the cluster's own networks. Each tunnel has a routing table of its own. It is used only by sockets bound to its interface
# (forward.sh), by packets with its mark (kernel.sh), and by packets to its DNS servers (interface.sh). Packets from its own
# addresses use it too, because the reverse path check needs that. The table ends in `unreachable`. The rules that select it
# are only ever added, each before a packet could need it. So a packet of the tunnel never finds another way, also while the
# tunnel is down or gone.
# Two tunnels may carry the same networks; of two with the same DNS server the first one serves.
#
# A tunnel is up while its newest handshake is younger than $MAX_HANDSHAKE_AGE: a healthy one with keepalive renews it
# every 120-140 s. (That there was a handshake says nothing.) It is not up while its interface cannot be kept up, or while
# it sends and nothing comes back. Of several peers, the one that does not answer is named (peers.sh).
#
# Its identity is one pod's at any time. Alone, a pod that ends gives it up before its successor can have started, and takes
# another key live. With siblings (siblings.sh) the sessions end first, and a pod that starts waits for its predecessor.
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
# shellcheck source-path=SCRIPTDIR source=siblings.sh
. "$scripts/siblings.sh"
# shellcheck source-path=SCRIPTDIR source=interface.sh
. "$scripts/interface.sh"
# shellcheck source-path=SCRIPTDIR source=peers.sh
. "$scripts/peers.sh"

say() { echo "tunnel $tunnel: $*" >&2; }
log() { [ "$*" = "$logged" ] || say "$*"; logged=$*; } # not the same again and again
nap() { sleep "$1" & wait $!; } # a trap interrupts `wait`, not `sleep`
# Sets now, in seconds since 1970. A round at rest starts no process that it can do without: `date` runs with each fifth one.
clock() { read -r now _ </proc/uptime && now=$((${now%.*} + booted)); }
set_clock() { booted=0 && clock && booted=$(($(date +%s) - now)); }

take_over() { # the Secret's present version
  # Not cp: it copies the mode too, and a root that lacks a capability for it does not write to a file of mode 0400.
  if { cat "$secret" >"$seen" && sh "$scripts/normalise.sh" <"$seen" >"$candidate"; } 2>"$errors"; then
    if is_another_identity; then leave_services; fi
    peers "$candidate" >"$RUN_DIR/$tunnel.peers"
    look_up # while the interface is made
  else
    rm -f "$candidate"
  fi
  if [ -e "$candidate" ] && apply "$candidate" 2>"$errors"; then
    if [ -e "$in_force" ]; then log "changed, taken over live"; else log "configured"; fi
    mv "$candidate" "$in_force"
    while read -r text; do say "$text"; done <"$RUN_DIR/$tunnel.notes"
    refused='' since=$(date +%s) silent=' ' nameless=' ' unanswered=0
  elif refused=yes && [ -e "$in_force" ]; then
    log "new version refused, the old one stays: $(reason)"
    apply "$in_force" 2>/dev/null
  else
    log "not up: $(reason)"
    delete_interface
  fi
}

is_another_identity() { # whether sessions cannot outlive the change of in_force to candidate, or the other end may not know it yet
  [ -e "$in_force" ] || return
  identity='^(PrivateKey|PublicKey|PresharedKey|#address) = '
  [ "$(grep -E "$identity" "$in_force" | sort)" != "$(grep -E "$identity" "$candidate" | sort)" ]
}

# Before a new key, for $DRAIN_SECONDS at most where siblings serve. The peers go too. As new ones they make a handshake at once,
# and the tunnel is up when the other end knows the new key. (The interface stays: one that is deleted may not have ended when the next
# one is made.) Alone, and where no sibling serves, the key is taken live.
leave_services() {
  has_siblings || return
  log "another key: leaves the Services before it is taken"
  begun=$(date +%s)
  wait_for_turn || { rm -f "$UP_DIR/._leaves"; say "no sibling answers through the Service: the key is taken live"; return; }
  least=$(least_time "$FORWARDS_FILE") begun=$(date +%s) passed=0 answers=0
  while [ "$passed" -lt "$DRAIN_SECONDS" ]; do
    : >"$RUN_DIR/$tunnel.alive"
    [ "$answers" = $IN_A_ROW ] || ask_service
    ! { [ "$answers" = $IN_A_ROW ] && [ "$passed" -ge "$least" ]; } || has_sessions || break
    nap 0.2
    passed=$(($(date +%s) - begun))
  done
  rm -f "$UP_DIR/$tunnel"
  for peer in $(wg show "$tunnel" peers 2>/dev/null); do wg set "$tunnel" peer "$peer" remove; done
  rm -f "$UP_DIR/._leaves"
}

missing() { # why there is no Secret to read
  echo "$TUNNELS" | awk -v tunnel="$tunnel" '
    $1 == tunnel { name = $2 " "; key = $3 }
    END { print "the Secret " name "does not exist, has no key " (key ? key : tunnel ".conf") ", or that is empty" }'
}

reason() { # of the last failure, without anything that could be a key
  sed 's#[A-Za-z0-9+/]\{20,\}=\{0,1\}#<hidden>#g' "$errors" | tail -n 3 | tr '\n' ' '
}

is_link_up() { read -r flags 2>/dev/null <"/sys/class/net/$tunnel/flags" && [ $((flags & 1)) = 1 ]; }

keep_up() { # the version in force
  if is_link_up; then downs=0; else
    downs=$((downs + 1))
    apply "$in_force" 2>"$errors" || { log "$(reason)"; return; }
    say "interface was gone or down, set up again"
    since=$now
  fi
  [ "$now" -lt "$look_up_at" ] || look_up
  set_endpoints
  [ $((rounds % 5)) != 0 ] || check_peers
}

# Whether the tunnel is up. Its file: `mark [DNS server...]`, then lines `allowed PREFIX` and `own ADDRESS`.
publish() {
  # The newest handshake is known from observe, five rounds old at most; it is asked for where that could matter.
  if [ ! -e "$UP_DIR/$tunnel" ] || [ $((now - newest)) -gt $((MAX_HANDSHAKE_AGE - 10)) ]; then
    newest=$(wg show "$tunnel" latest-handshakes 2>/dev/null | cut -f 2 | sort -n | tail -n 1)
    newest=${newest:-0}
  fi
  why=''
  if [ "$downs" -ge 2 ]; then why="its interface goes down again and again"
  elif [ "$unanswered" -ge 5 ]; then why="what it sends is not answered"
  elif [ $((now - newest)) -gt "$MAX_HANDSHAKE_AGE" ]; then
    [ $((now - since)) -ge 3 ] || return # a peer that moves has none for a moment
    why="no handshake for $MAX_HANDSHAKE_AGE s"
  fi
  if [ -z "$why" ]; then
    [ -e "$UP_DIR/$tunnel" ] || { observe; log "up, its other end answers"; } # so the metrics never have it up without its peers
    [ -e "$UP_DIR/$tunnel" ] && [ "$published" = "$servers $allowed $own" ] && return
    { echo "$number$servers"; for word in $allowed; do echo "allowed $word"; done; for word in $own; do echo "own $word"; done
    } >"$UP_DIR/.$tunnel" && mv "$UP_DIR/.$tunnel" "$UP_DIR/$tunnel"
    published="$servers $allowed $own"
  elif [ -e "$UP_DIR/$tunnel" ]; then
    rm "$UP_DIR/$tunnel"
    log "$why: its forwards refuse until its other end answers"
  fi
}

worker() { # TUNNEL NUMBER
  tunnel=$1 number=$((10000 + $2)) # of its routing table, its rules and its mark
  secret=$TUNNELS_DIR/$tunnel/$tunnel.conf seen=$RUN_DIR/$tunnel.seen candidate=$RUN_DIR/$tunnel.new
  in_force=$RUN_DIR/$tunnel.conf errors=$RUN_DIR/$tunnel.errors
  refused='' rounds=0 servers='' allowed='' own='' published='' silent=' ' nameless=' ' since=0 look_up_at=0
  downs=0 unanswered=0 quiet='' sent=0 received=0 newest=0
  rm -f "$seen"
  while :; do
    : >"$RUN_DIR/$tunnel.alive"
    if [ $((rounds % 5)) = 0 ]; then set_clock && observe; fi
    clock
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
    rounds=$((rounds + 1))
    # Soon after a change the other end should answer.
    if [ "$rounds" -lt 5 ]; then nap 0.1; elif [ "$rounds" -lt 12 ]; then nap 0.2; else nap "$POLL"; fi
  done
}

has_sessions() { # open, or closing with data on the way: forward.sh's sockets (TCP states 01, 04, 08, 09), and kernel.sh's
  cat /proc/net/tcp /proc/net/tcp6 /proc/net/nf_conntrack 2>/dev/null | awk -v ports=":$(printf '%04X' "$READY_PORT")|:$(printf '%04X' "$METRICS_PORT")" '
    $2 !~ "(" ports ")$" && $4 ~ /^0[1489]$/ || /(ESTABLISHED|FIN_WAIT|CLOSE_WAIT) .* mark=1/ { n++ } END { exit !n }'
}
is_forwarding() { # whether forward.sh runs: it ends when it has left the Services and its sessions have ended
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$(printf '%04X' "$METRICS_PORT")" '
    $4 == "0A" && substr($2, length($2) - 4) == port { n++ } END { exit !n }'
}

end_tunnels() { # waits for sessions, then gives the identity up, so that the next pod can use it
  trap '' TERM INT
  [ -z "$kernel" ] || kill "$kernel" # new connections are forward.sh's now, which can tell their clients of the end
  limit=$DRAIN siblings=''
  ! has_siblings || limit=$((DRAIN_SECONDS + 2)) siblings=yes
  sleep "$limit" & timer=$!
  while { has_sessions || { [ -n "$siblings" ] && is_forwarding; }; } && kill -0 $timer 2>/dev/null; do sleep 0.1; done
  for file in "$RUN_DIR"/*.pid; do
    tunnel=${file##*/} && tunnel=${tunnel%.pid}
    kill "$(cat "$file")" 2>/dev/null
    rm -f "$UP_DIR/$tunnel"
    delete_interface
  done
  rm -f "$UP_DIR/._holds"
  for tables in iptables ip6tables; do $tables -w -t mangle -F FLOWGEN-PREROUTING 2>/dev/null; done # see kernel.sh
  exit 0
}

mkdir -p "$RUN_DIR" "$UP_DIR/._metrics" && chmod 700 "$RUN_DIR"
rm -f "$RUN_DIR"/*.pid "$UP_DIR/._leaves" && kernel='' # the files: left by a container that was killed
trap end_tunnels TERM INT
wait_for_predecessor
: >"$UP_DIR/._holds"
while :; do
  : >"$RUN_DIR/_tunnel.alive" # no tunnel's name begins with _
  if [ "${FORWARDER:-socat}" = kernel ] && ! { [ -n "$kernel" ] && kill -0 "$kernel" 2>/dev/null; }; then
    sh "$scripts/kernel.sh" & kernel=$!
  fi
  number=0
  for directory in "$TUNNELS_DIR"/*/; do # a worker for each, where none is running
    number=$((number + 1)) directory=${directory%/} && tunnel=${directory##*/}
    case $tunnel in '' | [._-]* | *[!A-Za-z0-9_=+.-]* | ????????????????*) continue ;; esac
    { read -r pid <"$RUN_DIR/$tunnel.pid"; } 2>/dev/null && kill -0 "$pid" 2>/dev/null && continue
    worker "$tunnel" "$number" &
    echo $! >"$RUN_DIR/$tunnel.pid"
  done
  nap "$POLL"
done
