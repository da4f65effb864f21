#!/bin/sh
# names.sh: forward.sh's resolver. Writes the address of each host name to $STATE_DIR/names/<tunnel>/<host>.
#
# A name is asked for every $RESOLVE_EVERY s, and each second while it has no address, by the tunnel's DNS servers (and
# through the tunnel: tunnel.sh sees to that); by the pod's resolver where the tunnel has none. An address stays as long
# as it is one of the answers, and while there is no answer, so that a listener is not restarted for nothing.
set -u
: "${UP_DIR:=/run/flowgen-tunnels}" "${STATE_DIR:=/tmp/forwards}" "${RESOLVE_EVERY:=30}"

ask() { # NAME [SERVER]: its addresses, IPv4 first; busybox writes "Address: X" or "Address 1: X name"
  timeout 5 nslookup "$@" 2>/dev/null </dev/null | awk '
    /^Name:/ { answer = 1 }
    answer && /^Address/ { sub(/^Address( [0-9]+)?:[ \t]*/, ""); if ($1 !~ /[^0-9a-fA-F:.]/) print ($1 ~ /:/), $1 }
  ' | sort -u | cut -d ' ' -f 2
}

resolve() { # TUNNEL HOST
  known=$STATE_DIR/names/$1/$2 answer=''
  read -r _ servers 2>/dev/null <"$UP_DIR/$1" || return # not up: who to ask is not known
  case $2 in *.*) fqdn=$2. ;; *) fqdn=$2 ;; esac # the final dot keeps the pod's search domains out
  for server in ${servers:-''}; do
    # shellcheck disable=SC2086 # no server: no argument
    [ -n "$answer" ] || answer=$(ask "$fqdn" $server)
  done
  if [ -z "$answer" ]; then
    [ ! -s "$known" ] || echo "forward: $2: no answer, its last address stays" >&2
  elif ! echo "$answer" | grep -qxF "$(cat "$known" 2>/dev/null)"; then
    mkdir -p "${known%/*}" && echo "$answer" | head -n 1 >"$known"
  fi
}

seconds=0 queries=0
while :; do
  while read -r _ kind host _ tunnel; do
    [ "$kind" = name ] || continue
    [ $((seconds % RESOLVE_EVERY)) -eq 0 ] || [ ! -s "$STATE_DIR/names/$tunnel/$host" ] || continue
    resolve "$tunnel" "$host" &
    [ $(((queries += 1) % 16)) -ne 0 ] || wait
  done <"$STATE_DIR/table"
  wait
  seconds=$((seconds + 1))
  sleep 1
done
