#!/bin/sh
# forward.sh: PID 1 of the socat container. Keeps one socat listening for every valid line of the forward table (see
# table.sh) whose tunnel is up (see tunnel.sh). The port of a tunnel that is not up refuses: nobody waits to know.
#
# When the table changes, only the listeners whose line changed are started or stopped; a session is a child process of
# its own and outlives its listener, so no change cuts a session. A listener that died is started again.
#
# Every socket to a target is bound to the tunnel's interface: a forward leaves by its tunnel or not at all, also when
# the interface is down or gone. Every listener is bound to the pod's: who is at a tunnel's other end does not reach it.
# A host name has the address that names.sh, a process of its own, writes down for it.
set -u
: "${FORWARDS_FILE:=/etc/flowgen-gateway/table/forwards}"
: "${UP_DIR:=/run/flowgen-tunnels}" # a tunnel that is up has a file here: `number [DNS server...]`
: "${STATE_DIR:=/tmp/forwards}"     # <port>: `pid address port tunnel`; table: as read; names: see names.sh
: "${CLIENT_INTERFACE:=eth0}" "${POLL:=0.5}" "${SOCAT:=socat}" "${READY_PORT:=65535}"
: "${DRAIN:=5}" "${LINGER:=0}" # seconds after SIGTERM; DRAIN is the same as tunnel.sh's

# A vanished peer is noticed after 90 s idle and, with data on the way, after 30 s (6:18 is TCP_USER_TIMEOUT).
ALIVE=nodelay,keepalive,keepidle=60,keepintvl=10,keepcnt=3,setsockopt=6:18:30000

log() { echo "forward: $*" >&2; }
is_running() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; } # to busybox, no pid is the script's own group
nap() { sleep "$1" & wait $!; } # a trap interrupts `wait`, not `sleep`

recall() { # LISTEN: what runs there; sets pid and used, empty when nothing does
  pid='' used=''
  [ ! -e "$STATE_DIR/$1" ] || read -r pid used <"$STATE_DIR/$1"
}

stop() { # LISTEN WHY: the listener alone; waits until the port is free, whatever signal comes in between
  recall "$1"
  [ -n "$pid" ] || return
  rm -f "$STATE_DIR/$1"
  while is_running "$pid"; do kill "$pid"; wait "$pid"; done
  log "$1 $2"
}

start() { # LISTEN TO WHAT
  from=TCP4-LISTEN:$1
  [ ! -e /proc/net/if_inet6 ] || from=TCP6-LISTEN:$1,ipv6only=0
  # -t30: late replies after a half-close.
  "$SOCAT" -t30 "$from,fork,reuseaddr,backlog=1024,so-bindtodevice=$CLIENT_INTERFACE,$ALIVE" "$2" &
  echo "$! $3" >"$STATE_DIR/$1"
  log "$1 -> $3"
}

reconcile() { # makes the listeners what the table says
  wanted=" $READY_PORT " up=
  while read -r listen kind host port tunnel; do
    wanted="$wanted$listen "
    [ -e "$UP_DIR/$tunnel" ] || { stop "$listen" "refuses: tunnel $tunnel is not up"; continue; }
    up=yes address=$host
    [ "$kind" != name ] || read -r address 2>/dev/null <"$STATE_DIR/names/$tunnel/$host" || continue # not resolved yet
    recall "$listen"
    if is_running "$pid"; then
      [ "$used" != "$address port $port by $tunnel" ] || continue
      stop "$listen" "changes"
    fi
    case $address in *:*) to=TCP6:[$address]:$port ;; *) to=TCP4:$address:$port ;; esac
    # A dead target: 8 s.
    start "$listen" "$to,so-bindtodevice=$tunnel,connect-timeout=8,$ALIVE" "$address port $port by $tunnel"
  done <"$STATE_DIR/table"
  # Ready: of the tunnels that carry forwards one is up at least. (One bad tunnel of two is named in the log and its ports
  # refuse; a pod that is not ready would refuse the good one's clients too.)
  if [ -n "$up" ] || { [ -e "$STATE_DIR/seen" ] && [ ! -s "$STATE_DIR/table" ]; }; then
    recall "$READY_PORT"
    is_running "$pid" || start "$READY_PORT" OPEN:/dev/null ready
  else
    stop "$READY_PORT" "ends: not ready, none of the tunnels that carry forwards is up"
  fi
  for file in "$STATE_DIR"/[0-9]*; do
    case $wanted in *" ${file##*/} "*) ;; *) stop "${file##*/}" "removed" ;; esac
  done
}

# Serves as long as a session is open, for $DRAIN s at most, then cuts it. The pod's address stays for $LINGER s: who is
# still led to it is refused at once, where an address that is gone would let him wait.
finish() {
  trap '' TERM INT
  stop "$READY_PORT" "ends"
  sleep "$DRAIN" & drain=$!; sleep "$LINGER" & linger=$!
  set -- "$STATE_DIR"/[0-9]*; [ -e "$1" ] || shift # the listeners
  # (grep's status says nothing: it fails where any process ends meanwhile.)
  while sessions=$(grep -lxF "${SOCAT##*/}" /proc/[0-9]*/comm 2>/dev/null); [ -n "$sessions" ] && is_running $drain &&
    [ "$(echo "$sessions" | wc -l)" -gt $# ]; do sleep 0.1; done
  for file; do stop "${file##*/}" "ends"; done
  for session in $sessions; do session=${session%/comm} && kill "${session#/proc/}" 2>/dev/null; done
  wait $linger
  exit 0
}

rm -rf "$STATE_DIR" && mkdir -p "$STATE_DIR" && : >"$STATE_DIR/table"
names='' rounds=0
trap finish TERM INT
trap : USR1 # ends the nap: the table may have changed
# Where busybox has inotifyd, a swap of the volume (a rename in its directory) wakes at once; else within $POLL.
inotifyd - "${FORWARDS_FILE%/*}:y" 2>/dev/null | while read -r _; do kill -USR1 $$; done &
while :; do
  : >"$STATE_DIR/alive"
  is_running "$names" || { sh "${0%/*}/names.sh" & names=$!; }
  if ! cmp -s "$FORWARDS_FILE" "$STATE_DIR/seen" && cp "$FORWARDS_FILE" "$STATE_DIR/next" 2>/dev/null; then
    sh "${0%/*}/table.sh" "$STATE_DIR/table" <"$STATE_DIR/next" >"$STATE_DIR/new"
    mv "$STATE_DIR/new" "$STATE_DIR/table" && mv "$STATE_DIR/next" "$STATE_DIR/seen"
  fi
  reconcile
  if [ $((rounds += 1)) -lt 30 ]; then nap 0.1; else nap "$POLL"; fi # the tunnels come up now
done
