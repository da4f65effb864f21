#!/bin/sh
# forward.sh: PID 1 of the socat container. Keeps one socat listening for every line of the forward table:
#
#     listenPort host port tunnel
#
# The table is a file of a mounted ConfigMap. Whenever it changes, only the listeners whose line changed are started or
# stopped; a session is a child process of its own and outlives its listener, so no change cuts a session. A listener
# that died is started again. A line that is not valid keeps what already ran on its port and stops nobody else.
#
# Every socket to a target is bound to the tunnel's interface: a forward leaves by its tunnel or not at all, also when
# the interface is down or gone. A table line is data: it reaches socat only after it was checked, because socat reads
# `,` and `:` in an address as options, some of which run programs.
#
# A host name is resolved by a process of its own, by the tunnel's DNS servers (tunnel.sh publishes them; none: the
# pod's resolver). An answer is used until a later answer no longer holds it, and a failure keeps the last good one.
set -u
: "${FORWARDS_FILE:=/etc/flowgen-gateway/table/forwards}"
: "${STATE_DIR:=/tmp/forwards}"      # <port>: "pid address port tunnel"; name.<tunnel>.<host>: its addresses
: "${DNS_DIR:=/run/flowgen-dns}"     # shared with tunnel.sh
: "${POLL:=1}" "${RESOLVE_EVERY:=30}" "${SOCAT:=socat}"
: "${DRAIN:=5}" # seconds that open sessions get after SIGTERM; the same as tunnel.sh's

# A vanished peer is noticed after 90 s idle and, with data on the way, after 30 s (6:18 is TCP_USER_TIMEOUT).
ALIVE=nodelay,keepalive,keepidle=60,keepintvl=10,keepcnt=3,setsockopt=6:18:30000

log() { echo "forward: $*" >&2; }
is_running() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; } # to busybox, no pid is the script's own group
nap() { sleep "$1" & wait $!; } # a trap interrupts `wait`, not `sleep`

is_number() { case $1 in '' | 0* | *[!0-9]* | ??????*) return 1 ;; esac; [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }
is_ipv4() {
  case $1 in *[!0-9.]* | *.) return 1 ;; esac
  IFS=.
  # shellcheck disable=SC2086 # split at the dots
  set -- $1
  unset IFS
  [ $# -eq 4 ] || return
  for octet; do [ "$octet" = 0 ] || is_number "$octet" 1 255 || return; done
}
is_ipv6() { case $1 in *[!0-9a-fA-F:.]*) return 1 ;; *:*:*) [ ${#1} -le 45 ] ;; *) return 1 ;; esac; }
is_address() { is_ipv4 "$1" || is_ipv6 "$1"; }
is_name() {
  case $1 in -* | .* | *..* | *[!A-Za-z0-9.-]*) return 1 ;; *[A-Za-z]*) [ ${#1} -le 200 ] ;; *) return 1 ;; esac
}
is_tunnel() { case $1 in '' | .* | -* | *[!A-Za-z0-9_=+.-]* | ????????????????*) return 1 ;; esac; }
is_forward() { # LISTEN HOST PORT TUNNEL [MORE]
  is_number "$1" 1024 65535 && is_number "$3" 1 65535 && is_tunnel "$4" && [ -z "$5" ] || return
  is_address "$2" || is_name "$2"
}

# --- names ---

ask() { # NAME [SERVER]: its addresses, IPv4 first; busybox writes "Address: X" or "Address 1: X name"
  timeout 5 nslookup "$@" 2>/dev/null </dev/null | awk '
    /^Name:/ { answer = 1 }
    answer && /^Address/ { sub(/^Address( [0-9]+)?:[ \t]*/, ""); print ($1 ~ /:/), $1 }' | sort -u | cut -d ' ' -f 2
}

resolve() { # HOST TUNNEL
  known=$STATE_DIR/name.$2.$1 answer='' servers=''
  [ -e "$DNS_DIR/$2.dns" ] || return # the tunnel has not come up yet: who to ask is not known
  read -r servers <"$DNS_DIR/$2.dns"
  case $1 in *.*) fqdn=${1%.}. ;; *) fqdn=$1 ;; esac # the final dot keeps the pod's search domains out
  for server in ${servers:-''}; do
    # shellcheck disable=SC2086 # no server: no argument
    [ -n "$answer" ] || answer=$(ask "$fqdn" $server)
  done
  for address in $answer; do is_address "$address" || answer=; done
  if [ -z "$answer" ]; then
    [ -e "$known" ] && log "$1: no answer, its last address stays"
  elif [ "$answer" != "$(cat "$known" 2>/dev/null)" ]; then
    echo "$answer" >"$known.new" && mv "$known.new" "$known"
    kill -USR1 $$
  fi
}

resolver() { # every name of the table each $RESOLVE_EVERY s, and at once those without an address
  elapsed=0
  while :; do
    asked=' ' queries=0
    while read -r listen host port tunnel more; do
      if ! is_forward "$listen" "$host" "$port" "$tunnel" "$more" || is_address "$host"; then continue; fi
      case $asked in *" $tunnel/$host "*) continue ;; esac
      [ $((elapsed % RESOLVE_EVERY)) -eq 0 ] || [ ! -e "$STATE_DIR/name.$tunnel.$host" ] || continue
      asked="$asked$tunnel/$host " queries=$((queries + 1))
      resolve "$host" "$tunnel" &
      [ $((queries % 16)) -ne 0 ] || wait
    done <"$FORWARDS_FILE"
    wait
    elapsed=$((elapsed + 1))
    sleep 1
  done
}

choose_address() { # HOST TUNNEL: sets address; the one in use as long as it is still an answer
  address=$1
  is_address "$1" && return
  known=$STATE_DIR/name.$2.$1
  [ -e "$known" ] || return
  read -r address <"$known"
  while read -r answer; do [ "$answer" != "$used_address" ] || address=$answer; done <"$known"
}

# --- listeners ---

recall() { # LISTEN: what runs there; sets pid and the used_ variables, empty when nothing does
  pid='' used_address='' used_port='' used_tunnel=''
  [ ! -e "$STATE_DIR/$1" ] || read -r pid used_address used_port used_tunnel <"$STATE_DIR/$1"
}

stop() { # LISTEN: the listener alone; waits until the port is free, whatever signal comes in between
  recall "$1"
  rm -f "$STATE_DIR/$1"
  while is_running "$pid"; do kill "$pid"; wait "$pid"; done
}

start() { # LISTEN ADDRESS PORT TUNNEL
  from=TCP4-LISTEN:$1 to=TCP4:$2:$3
  [ ! -e /proc/net/if_inet6 ] || from=TCP6-LISTEN:$1,ipv6only=0
  ! is_ipv6 "$2" || to=TCP6:[$2]:$3
  # setsid: a signal to the group never reaches sessions. -t30: late replies after a half-close. A dead target: 8 s.
  setsid "$SOCAT" -t30 "$from,fork,reuseaddr,backlog=1024,$ALIVE" "$to,so-bindtodevice=$4,connect-timeout=8,$ALIVE" &
  echo "$! $2 $3 $4" >"$STATE_DIR/$1"
  log "$1 -> $2 port $3 by $4"
}

reconcile() { # makes the listeners what the table says
  wanted=' ' line=0
  while read -r listen host port tunnel more || [ -n "$listen" ]; do
    line=$((line + 1))
    is_number "$listen" 1024 65535 || { [ -z "$listen" ] || complain "no listen port"; continue; }
    case $wanted in *" $listen "*) complain "port $listen is taken by a line above"; continue ;; esac
    wanted="$wanted$listen "
    is_forward "$listen" "$host" "$port" "$tunnel" "$more" || { complain "not valid"; continue; }
    recall "$listen"
    choose_address "$host" "$tunnel" || continue # not resolved yet
    if is_running "$pid"; then
      [ "$used_address $used_port $used_tunnel" != "$address $port $tunnel" ] || continue
      stop "$listen"
    fi
    start "$listen" "$address" "$port" "$tunnel"
  done <"$FORWARDS_FILE"
  for file in "$STATE_DIR"/[0-9]*; do
    listen=${file##*/}
    case $wanted in *" $listen "*) continue ;; esac
    [ ! -e "$file" ] || { stop "$listen"; log "$listen removed"; }
  done
}
complain() { [ "$table" = "$complained_about" ] || log "line $line is ignored: $1"; }

sessions_open() { grep -qxF "${SOCAT##*/}" /proc/[0-9]*/comm 2>/dev/null; }

finish() { # refuse new sessions, let the others end
  trap '' TERM INT
  ! is_running "$resolver" || kill "$resolver"
  for file in "$STATE_DIR"/[0-9]*; do [ ! -e "$file" ] || stop "${file##*/}"; done
  deadline=$(($(date +%s) + DRAIN))
  while sessions_open && [ "$(date +%s)" -lt "$deadline" ]; do sleep 0.2; done
  exit 0
}

mkdir -p "$STATE_DIR"
rm -f "$STATE_DIR"/*
complained_about=none
trap finish TERM INT
trap : USR1 # ends the nap: the table may have changed
resolver=
# Where busybox has inotifyd, a swap of the volume (a rename in its directory) wakes at once; else within $POLL.
inotifyd - "${FORWARDS_FILE%/*}:y" 2>/dev/null | while read -r _; do kill -USR1 $$; done &
while :; do
  : >"$STATE_DIR/alive"
  is_running "$resolver" || { resolver & resolver=$!; }
  if table=$(cat "$FORWARDS_FILE" 2>/dev/null); then
    reconcile
    complained_about=$table
    : >"$STATE_DIR/ready"
  fi
  nap "$POLL"
done
