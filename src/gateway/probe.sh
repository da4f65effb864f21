#!/bin/sh
# probe.sh ready|live tunnel|forward: what the kubelet asks the wireguard and the socat container.
#
# ready tunnel: of the tunnels that carry forwards one is up at least. (One bad tunnel of two is named in the log and
#   its ports refuse; a pod that is not ready would refuse the good one's clients too.)
# ready forward: the table has been read. Both wait a moment for it, so that a pod that starts is ready when it is and
#   not at the kubelet's next question.
# live tunnel: the scripts run, and where a configuration is in force its interface is there. A dead server or a bad
#   Secret is not a reason: a restart would not heal it. live forward: the script runs.
set -u
: "${FORWARDS_FILE:=/etc/flowgen-gateway/table/forwards}" "${RUN_DIR:=/run/flowgen-gateway}"
: "${UP_DIR:=/run/flowgen-tunnels}" "${STATE_DIR:=/tmp/forwards}" "${READY_WAIT:=3}"

fail() { echo "$*" >&2; exit 1; }
is_fresh() { [ -n "$(find "$1" -mmin -2 2>/dev/null)" ]; } # FILE: a sign of life

tunnel_is_ready() {
  tunnels=$(sh "${0%/*}/table.sh" 2>/dev/null <"$FORWARDS_FILE" | cut -s -d ' ' -f 5 | sort -u)
  reason="no tunnel that carries forwards is up: $tunnels"
  for tunnel in $tunnels; do ! is_fresh "$UP_DIR/$tunnel" || return 0; done
  [ -z "$tunnels" ] && [ -r "$FORWARDS_FILE" ]
}
forward_is_ready() { reason="the forward table has not been read yet"; [ -e "$STATE_DIR/seen" ]; }

case "${1-} ${2-}" in
  "ready tunnel" | "ready forward")
    tries=$((READY_WAIT * 5))
    until "$2_is_ready"; do
      [ $((tries -= 1)) -gt 0 ] || fail "$reason"
      sleep 0.2
    done ;;
  "live tunnel")
    for sign in "$RUN_DIR"/*.alive; do is_fresh "$sign" || fail "$sign is old: its process does not run"; done
    for config in "$RUN_DIR"/*.conf; do
      tunnel=${config##*/} tunnel=${tunnel%.conf}
      [ ! -e "$config" ] || wg show "$tunnel" >/dev/null 2>&1 || fail "tunnel $tunnel: no interface"
    done ;;
  "live forward") is_fresh "$STATE_DIR/alive" || fail "forward.sh does not run" ;;
  *) fail "usage: probe.sh ready|live tunnel|forward" ;;
esac
