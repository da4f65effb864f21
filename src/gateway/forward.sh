#!/bin/sh
# forward.sh: PID 1 of the socat container. Keeps one socat listening for every valid line of the forward table
# (table.sh) whose tunnel is up (tunnel.sh). The line's target is one that may be connected to (reach.sh). Other ports
# refuse, and the log says why, once.
#
# When the table changes, only the listeners whose line changed are started or stopped. A session is a child process of
# its own and outlives its listener. It ends when its line is gone from the table. The target is then no longer granted,
# and a client's pool would hold the connection for days. A listener that died is started again, after pauses that grow
# where it ends repeatedly. While nothing changes, a round looks at two things: the text of its input, and whether all
# listeners are there.
#
# Every socket to a target is bound to the tunnel's interface. So a forward leaves by its tunnel or not at all, also
# when the interface is down or gone. Every listener is bound to the pod's interface: machines at a tunnel's other end
# do not reach it. A host name has the address that names.sh, a process of its own, writes down for it. One port has at
# most $MAX_CHILDREN sessions, a share of those that the container's memory holds. So one client does not take the
# memory of other ports.
#
# The listeners and their sessions write notices into a pipe, which events.sh counts; metrics.sh answers on $METRICS_PORT.
# This script holds the pipe open itself, and events.sh is started again when it ends: no session waits for a reader.
#
# A pod that ends alone serves for $DRAIN s, for its successor has started. One that has siblings (siblings.sh) leaves
# the Services first, and serves new connections until then. Its sessions have $DRAIN_SECONDS to end.
set -u
: "${FORWARDS_FILE:=/etc/flowgen-gateway/table/forwards}"
: "${UP_DIR:=/run/flowgen-tunnels}" # a tunnel that is up has a file here, see publish in tunnel.sh
: "${STATE_DIR:=/tmp/forwards}"     # <port>: `pid address port tunnel`; table: as read; names, said: see names.sh
: "${CLIENT_INTERFACE:=eth0}" "${POLL:=0.5}" "${SOCAT:=socat}" "${READY_PORT:=65535}" "${METRICS_PORT:=65534}"
: "${MAX_CHILDREN:=600}"
: "${DRAIN:=5}" "${LINGER:=0}" # seconds after SIGTERM; DRAIN is the same as tunnel.sh's
scripts=${0%/*}
# shellcheck source-path=SCRIPTDIR source=siblings.sh
. "$scripts/siblings.sh"

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
  rm -f "$STATE_DIR/$1" "$STATE_DIR/failed/$1"
  while is_running "$pid"; do kill "$pid"; wait "$pid"; done
  log "$1 $2"
}

refuse() { # LISTEN WHY: nobody listens there; said once, until it is served again
  said=''
  stop "$1" "changes"
  read -r said 2>/dev/null <"$STATE_DIR/said/$1"
  [ "$said" = "$2" ] || { log "$1 refuses: $2"; echo "$2" >"$STATE_DIR/said/$1"; }
}

start() { # LISTEN TO WHAT [OPTION...]: options of socat
  from=TCP4-LISTEN:$1
  [ ! -e /proc/net/if_inet6 ] || from=TCP6-LISTEN:$1,ipv6only=0
  # -t30: late replies after a half-close.
  from=$from,fork,max-children=$MAX_CHILDREN,reuseaddr,backlog=1024,so-bindtodevice=$CLIENT_INTERFACE,$ALIVE
  listen=$1 to=$2 what=$3 && shift 3
  # The kernel names the listener and its sessions after the link: so end_sessions knows them.
  ln -sf "$socat" "$STATE_DIR/bin/socat$listen"
  "$STATE_DIR/bin/socat$listen" -t30 "$@" -lp"$listen" "$from" "$to" 2>&3 3>&- &
  pid=$!
  echo "$pid $what" >"$STATE_DIR/$listen"
  rm -f "$STATE_DIR/said/$listen"
  [ "$count" -gt 1 ] || log "$listen -> $what"
}

# One that ended is started again at once; one that ends again and again (socat says why) after 2, 4 … 64 rounds.
may_start() { # LISTEN: else sets retry, the round in which it may; sets count, how often it ended
  count=0 due=0
  [ -e "$STATE_DIR/$1" ] || return 0 # it did not end, it is new
  read -r count due 2>/dev/null <"$STATE_DIR/failed/$1"
  if [ "$due" -gt "$rounds" ]; then
    [ "$retry" -lt "$due" ] || retry=$due
    return 1
  fi
  [ $((rounds - due)) -lt 60 ] || count=0 # it ran for long
  count=$((count + 1))
  [ $count != 2 ] || log "$1 is not served: its listener cannot start, the reason is above; tried again and again${hint:+; $hint}"
  echo "$count $((rounds + (1 << (count < 6 ? count : 6))))" >"$STATE_DIR/failed/$1"
}

serve() { # LISTEN ADDRESS PORT TUNNEL: started where it does not run, or not like that
  recall "$1"
  if is_running "$pid"; then
    [ "$used" != "$2 port $3 by $4" ] || return
    stop "$1" "changes"
  fi
  may_start "$1" || { pid=''; return; }
  case $2 in *:*) to=TCP6:[$2]:$3 ;; *) to=TCP4:$2:$3 ;; esac
  # A dead target: 8 s.
  # shellcheck disable=SC2086 # an option or none
  start "$1" "$to,so-bindtodevice=$4,connect-timeout=8,$ALIVE" "$2 port $3 by $4" -d -d $statistics
}

reconcile() { # makes the listeners what the table says
  wanted=" $READY_PORT $METRICS_PORT " up='' listeners=$$ retry=999999999
  while read -r listen kind host port tunnel why; do
    wanted="$wanted$listen "
    [ -e "$UP_DIR/$tunnel" ] || { stop "$listen" "refuses: tunnel $tunnel is not up"; continue; }
    up=yes address=$host
    [ -z "$why" ] || { refuse "$listen" "$why"; continue; }
    if [ "$kind" = name ] && ! read -r address 2>/dev/null <"$STATE_DIR/names/$tunnel/$host/$port"; then
      stop "$listen" "refuses: $host has no address" # names.sh says why
      continue
    fi
    serve "$listen" "$address" "$port" "$tunnel"
    listeners="$listeners $pid"
  done <"$STATE_DIR/reachable"
  recall "$METRICS_PORT"
  count=0
  is_running "$pid" || start "$METRICS_PORT" "EXEC:sh $scripts/metrics.sh" metrics -T5
  listeners="$listeners $pid"
  # Ready: of the tunnels that carry forwards one is up at least. (One bad tunnel of two is named in the log, and its
  # ports refuse. A pod that is not ready would refuse the good one's clients too.)
  if [ -n "$leaves" ]; then
    stop "$READY_PORT" "ends: not ready, the pod leaves the Services"
  elif [ -n "$up" ] || { [ -e "$STATE_DIR/seen" ] && [ ! -s "$STATE_DIR/table" ]; }; then
    recall "$READY_PORT"
    is_running "$pid" || start "$READY_PORT" "OPEN:$STATE_DIR/self" ready -U
    listeners="$listeners $pid"
  else
    stop "$READY_PORT" "ends: not ready, none of the tunnels that carry forwards is up"
  fi
  for file in "$STATE_DIR"/[0-9]*; do
    case $wanted in *" ${file##*/} "*) ;; *) stop "${file##*/}" "removed" ;; esac
  done
}

end_sessions() { # LISTEN: those of a line that is gone, and of its listeners of before
  stop "$1" "removed"
  sessions=$(grep -lxF "socat$1" /proc/[0-9]*/comm 2>/dev/null)
  for session in $sessions; do
    session=${session%/comm} && kill "${session#/proc/}" 2>/dev/null
  done
}

read_table() { # what its lines say, and which of them may be served now
  if ! cmp -s "$FORWARDS_FILE" "$STATE_DIR/seen" && cp "$FORWARDS_FILE" "$STATE_DIR/next" 2>/dev/null; then
    sh "$scripts/table.sh" "$STATE_DIR/table" <"$STATE_DIR/next" >"$STATE_DIR/new"
    for line in $(sh "$scripts/gone.sh" "$STATE_DIR/new" <"$STATE_DIR/table" | cut -d ' ' -f 1); do end_sessions "$line"; done
    mv "$STATE_DIR/new" "$STATE_DIR/table" && mv "$STATE_DIR/next" "$STATE_DIR/seen"
  fi
  sh "$scripts/reach.sh" <"$STATE_DIR/table" >"$STATE_DIR/reachable"
}

list_sessions() { # sets sessions: the processes of listeners and sessions; false when no session is among them
  # (grep's status says nothing: it fails where any process ends meanwhile.)
  sessions=$(grep -lx "socat[0-9][0-9]*" /proc/[0-9]*/comm 2>/dev/null)
  set -- "$STATE_DIR"/[0-9]*; [ -e "$1" ] || shift # the listeners
  [ "$(echo "$sessions" | grep -c .)" -gt $# ]
}

serve_sessions() { # serves as long as a session is open, for $DRAIN s at most
  stop "$READY_PORT" "ends"
  sleep "$DRAIN" & timer=$!
  while list_sessions && is_running $timer; do sleep 0.1; done
}

# The same with siblings, for $DRAIN_SECONDS at most. A pod that ends is not ready for the Services, by any answer of
# its own. Where no sibling is ready, they keep it as endpoint while it answers.
leave() {
  least=$(least_time "$STATE_DIR/table") begun=$(date +%s) answers=0 passed=0
  while [ "$passed" -lt "$DRAIN_SECONDS" ]; do
    [ "$answers" = $IN_A_ROW ] || ask_service
    [ "$answers" = 0 ] || stop "$READY_PORT" "ends: a sibling answers"
    ! { [ "$answers" = $IN_A_ROW ] && [ "$passed" -ge "$least" ]; } || list_sessions || break
    sleep 0.1
    passed=$(($(date +%s) - begun))
  done
  if [ "$answers" = $IN_A_ROW ]; then log "siblings serve, ends after $passed s"
  else log "ends, and siblings alone did not answer through the Service within $DRAIN_SECONDS s: are they ready?"; fi
  list_sessions
}

# Cuts what has not ended by then. Alone, the pod's address stays for $LINGER s: a client that still reaches it is
# refused at once. An address that is gone would let the client wait.
end_forwards() {
  trap '' TERM INT
  sleep "$LINGER" & linger=$!
  if has_siblings; then leave; else serve_sessions; fi
  for file in "$STATE_DIR"/[0-9]*; do stop "${file##*/}" "ends"; done
  for session in $sessions; do session=${session%/comm} && kill "${session#/proc/}" 2>/dev/null; done
  wait $linger
  exit 0
}

hint=$(sh "$scripts/kernel-release.sh") # where the kernel is the likely reason that no listener starts
rm -rf "$STATE_DIR" && mkdir -p "$STATE_DIR/failed" "$STATE_DIR/said" "$STATE_DIR/bin" && : >"$STATE_DIR/table"
echo "$SELF" >"$STATE_DIR/self" # the answer of $READY_PORT
mkfifo "$STATE_DIR/events" && exec 3<>"$STATE_DIR/events"
socat=$(command -v "$SOCAT")
statistics=$("$SOCAT" -h 2>/dev/null | grep -o -e --statistics)
names='' counter='' before=none changed='' listeners='' retry=0 rounds=0
trap end_forwards TERM INT
trap 'changed=yes' USR1 # a name has another address, or the table may have changed: ends the nap
# Where busybox has inotifyd, a swap of the volume (a rename in its directory) wakes at once; else within $POLL.
inotifyd - "${FORWARDS_FILE%/*}:y" 2>/dev/null | while read -r _; do kill -USR1 $$; done &
while :; do
  : >"$STATE_DIR/alive"
  is_running "$counter" || { sh "$scripts/events.sh" "$STATE_DIR/counts" <&3 3>&- & counter=$!; }
  leaves='' && [ ! -e "$UP_DIR/._leaves" ] || leaves=yes # see siblings.sh
  now=$leaves$(cat "$UP_DIR"/* "$FORWARDS_FILE" 2>/dev/null)
  if [ "$now" != "$before" ]; then
    before=$now changed=yes
    read_table
    ! is_running "$names" || kill -USR1 "$names"
  fi
  is_running "$names" || { sh "$scripts/names.sh" $$ & names=$! changed=yes; }
  # shellcheck disable=SC2086 # a word each
  if [ -n "$changed" ] || [ "$rounds" -ge "$retry" ] || ! kill -0 $listeners 2>/dev/null; then
    changed=''
    reconcile
  fi
  if [ $((rounds += 1)) -lt 30 ]; then nap 0.1; else nap "$POLL"; fi # the tunnels come up now
done
