# shellcheck shell=sh disable=SC2154 # $scripts: the script's that reads this
# siblings.sh: the part of tunnel.sh and forward.sh that knows the gateway's other pods.
#
# A gateway of several identities has a pod for each, behind the same Services. A pod that ends, or takes another key, leaves
# the Services first. It gives its identity up only when a sibling answers through the Service's own address, as clients ask
# it. To ask the API server would need a token and an API that answers. The pod asks from its own node alone. The
# kube-proxy of another node may be a second later, so the pod goes on to take connections for $least s.
#
# Kubernetes starts the successor of a deleted or evicted pod at once. Two pods with one key take each other's answers, so the
# successor waits until its predecessor has given the identity up. It finds the pods of the gateway by the headless Service,
# which also has those that end, and asks them by /identity of metrics.sh: `SELF POD STATE`, STATE: waits, holds, or leaves the Services.
: "${SELF:=}" "${GATEWAY:=}" "${DRAIN_SECONDS:=30}"                   # the Deployment, `namespace/name`, see end_tunnels
: "${SIBLINGS_FILE:=/etc/flowgen-gateway/table/siblings}"             # the gateway's Deployments, one a line
: "${POD:=$(cat /proc/sys/kernel/hostname)}" "${RESOLV_CONF:=/etc/resolv.conf}"
: "${READY_PORT:=65535}" "${METRICS_PORT:=65534}"
IN_A_ROW=12 # answers of siblings: one of two pods would not be chosen as often by chance (1 in 4,096)

has_siblings() { [ -n "$SELF" ] && grep -qvxF -e "$SELF" -e '' "$SIBLINGS_FILE" 2>/dev/null; }

address_of() { # SUFFIX: the full name of the gateway's Service, or of its headless one (-pods)
  domain=$(awk '/^search/ { for (i = 2; i <= NF; i++) if (sub(/^svc[.]/, "", $i)) { print $i; exit } }' "$RESOLV_CONF")
  echo "${GATEWAY#*/}$1.${GATEWAY%%/*}.svc.${domain:-cluster.local}."
}

hear() { # HOST PORT [REQUEST]: the answer; the images have socat, or busybox
  case $1 in *:*) at="[$1]" ;; *) at=$1 ;; esac
  if command -v socat >/dev/null; then printf '%s\r\n\r\n' "${3:-}" | timeout 3 socat -t1 - "TCP:$at:$2,connect-timeout=1"
  else printf '%s\r\n\r\n' "${3:-}" | timeout 2 nc -w 1 "$1" "$2"; fi 2>/dev/null
}

is_served() { # whether a sibling answers through the Service
  heard=$(hear "$(address_of '')" "$READY_PORT")
  [ -n "$heard" ] && [ "$heard" != "$SELF" ]
}

# After each call `answers` is how often siblings alone have answered in a row, up to $IN_A_ROW. At that number the
# Services have forgotten this pod, and a sibling serves.
ask_service() { if ! is_served; then answers=0; elif [ "$answers" -lt $IN_A_ROW ]; then answers=$((answers + 1)); fi; }

# The least time, in seconds, that a pod serves on after SIGTERM. The EndpointSlice controller writes some 20 Services a second, and
# kube-proxy of each node follows within a second or two.
least_time() { echo $((3 + ($(wc -l <"$1" 2>/dev/null || echo 0) + 19) / 20)); } # TABLE: one Service a line at most

pods() { # the gateway's other pods that answer, those that end too: lines `SELF POD STATE`; `- - silent` where one does not answer
  addresses=$(sh "$scripts/ask.sh" "$(address_of -pods)") || echo '- - silent'
  for address in $addresses; do
    hear "$address" "$METRICS_PORT" 'GET /identity HTTP/1.0' | awk -v pod="$POD" '
      NF == 3 && !/HTTP/ { heard = 1; if ($2 != pod) print }
      END { if (!heard) print "- - silent" }'
  done
}

# Of tunnel.sh:

wait_for_turn() { # until a sibling serves, and no sibling leaves the Services
  answers=0 waited=0
  while [ "$waited" -lt $((DRAIN_SECONDS * 2)) ]; do
    leaving=$(pods | awk '$3 == "leaves" { print $2 }')
    # Of two that leave at the same moment the one whose name comes first goes on.
    first=$(printf '%s\n' "$POD" "$leaving" | grep . | LC_ALL=C sort | head -n 1)
    if [ -z "$leaving" ] || { [ -e "$UP_DIR/._leaves" ] && [ "$first" = "$POD" ]; }; then
      [ ! -e "$UP_DIR/._leaves" ] || return 0
      ! is_served || : >"$UP_DIR/._leaves"
    else
      rm -f "$UP_DIR/._leaves"
    fi
    : >"$RUN_DIR/$tunnel.alive"
    nap 0.5
    waited=$(($(date +%s) - begun))
  done
  return 1
}

wait_for_predecessor() { # which has not given the identity up yet, if there is one
  if [ -e "$UP_DIR/._holds" ] || ! has_siblings; then return; fi
  begun=$(date +%s) waits='' missed=0
  while [ $(($(date +%s) - begun)) -lt $((DRAIN_SECONDS + 10)) ]; do
    : >"$RUN_DIR/_tunnel.alive"
    heard=$(pods)
    holder=$(echo "$heard" | awk -v self="$SELF" '$1 == self && $3 != "waits" { print $2 }')
    if [ -z "$holder" ]; then
      # Where not all pods answer, a busy predecessor may be among those: it is asked once more.
      case $heard in *silent*) missed=$((missed + 1)) ;; *) missed=2 ;; esac
      [ "$missed" -ge 2 ] || { nap 0.5; continue; }
      [ -z "$waits" ] || nap 0.5 # its tunnel.sh ends a moment after its forward.sh
      return
    fi
    missed=0
    [ "$holder" = "$waits" ] || echo "tunnels: $holder has them until it ends, this pod waits for it" >&2
    waits=$holder
    nap 0.5
  done
  echo "tunnels: taken, although $waits has not ended within $((DRAIN_SECONDS + 10)) s" >&2
}
