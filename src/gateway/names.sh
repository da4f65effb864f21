#!/bin/sh
# names.sh FORWARD_PID: forward.sh's resolver. Writes the address that a forward by name connects to into
# $STATE_DIR/names/<tunnel>/<host>/<port>, and sends USR1 to FORWARD_PID when one changes.
#
# A name is asked for at once when the table or a tunnel changes (USR1), then every $RESOLVE_EVERY s. Without an address
# it is asked for sooner, in pauses that grow. The tunnel's DNS servers answer, through the tunnel (tunnel.sh sees to
# that), or the pod's resolver where the tunnel has none. Of several addresses the first that accepts a connection is
# taken, the present one first. (The name of a server that fails over has all of them.) While there is no answer the
# last address stays. Answers that must not be connected to (reach.sh) are dropped: if there is no other, the port
# refuses.
set -u
: "${UP_DIR:=/run/flowgen-tunnels}" "${STATE_DIR:=/tmp/forwards}" "${RESOLVE_EVERY:=30}" "${SOCAT:=socat}"
scripts=${0%/*} forward=$1

say() { # FILE TEXT: once, until another text is said
  read -r said 2>/dev/null <"$1" && [ "$said" = "$2" ] && return
  mkdir -p "${1%/*}" && echo "$2" >"$1"
  echo "forward: $2" >&2
}

accepts() { # ADDRESS PORT TUNNEL
  case $1 in *:*) to=TCP6:[$1]:$2 ;; *) to=TCP4:$1:$2 ;; esac
  "$SOCAT" -u OPEN:/dev/null "$to,so-bindtodevice=$3,connect-timeout=2" 2>/dev/null
}

choose() { # PRESENT PORT TUNNEL ADDRESS...: one of the addresses
  present=$1 port=$2 tunnel=$3 && shift 3
  [ $# -gt 1 ] || { echo "$1"; return; }
  case " $* " in *" $present "*) ;; *) present=$1 ;; esac
  for address in "$present" "$@"; do accepts "$address" "$port" "$tunnel" && echo "$address" && return; done
  echo "$present"
}

resolve() { # TUNNEL HOST PORT
  known=$STATE_DIR/names/$1/$2/$3 said=$STATE_DIR/unresolved/$1/$2/$3 answer='' present=''
  read -r _ servers 2>/dev/null <"$UP_DIR/$1" || return # not up: who to ask is not known
  for server in ${servers:-''}; do
    # shellcheck disable=SC2086 # no server: no argument
    answer=$(sh "$scripts/ask.sh" "$2" $server) && break
  done
  read -r present 2>/dev/null <"$known"
  if [ -z "$answer" ]; then
    say "$said" "$2${present:+: its last address stays}: no address for the name from ${servers:-the resolver of the pod}"
    return
  fi
  checked=$(for address in $answer; do
    case $address in *:*) echo "0 6 $address $3 $1" ;; *) echo "0 4 $address $3 $1" ;; esac
  done | sh "$scripts/reach.sh")
  # shellcheck disable=SC2046 # a word each
  set -- "$1" "$2" "$3" $(echo "$checked" | awk 'NF == 5 { print $3 }')
  if [ $# = 3 ]; then
    say "$said" "$2: $(echo "$checked" | head -n 1 | cut -d ' ' -f 6-)"
    [ -n "$present" ] || return
    rm -f "$known"
  else
    tunnel=$1 port=$3 && shift 3
    address=$(choose "$present" "$port" "$tunnel" "$@")
    rm -f "$said"
    [ "$address" != "$present" ] || return
    mkdir -p "${known%/*}" && echo "$address" >"$known.new" && mv "$known.new" "$known"
  fi
  kill -USR1 "$forward"
}

resolve_all() { # or those `missing` an address; sets is_missing
  queries=0 is_missing=''
  while read -r _ kind host port tunnel; do
    [ "$kind" = name ] || continue
    [ "$1" = all ] || [ ! -s "$STATE_DIR/names/$tunnel/$host/$port" ] || continue
    resolve "$tunnel" "$host" "$port" &
    [ $(((queries += 1) % 16)) -ne 0 ] || wait
  done <"$STATE_DIR/table"
  wait
  while read -r _ kind host port tunnel; do
    [ "$kind" != name ] || [ -s "$STATE_DIR/names/$tunnel/$host/$port" ] || is_missing=yes
  done <"$STATE_DIR/table"
}

nap() { # SECONDS, less where USR1 comes; in steps, because one that comes right before `wait` does not end it
  step=$1
  while [ -z "$woken" ] && [ "$step" -gt 0 ]; do
    sleep $((step < 2 ? step : 2)) & wait $!
    step=$((step - 2))
  done
}

due=0 pause=1
trap 'woken=yes' USR1
while :; do
  woken='' now=$(date +%s)
  if [ "$now" -ge "$due" ]; then
    due=$((now + RESOLVE_EVERY)) pause=1
    resolve_all all
  else
    resolve_all missing
  fi
  left=$((due - $(date +%s)))
  if [ -n "$is_missing" ] && [ "$pause" -lt "$left" ]; then left=$pause pause=$((pause * 2)); fi
  nap "$left"
  [ -z "$woken" ] || pause=1
done
