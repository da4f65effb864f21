#!/bin/sh
# probe.sh ready|live tunnel|forward: what the kubelet asks the wireguard and the socat container.
#
# ready tunnel: every tunnel that carries forwards has a handshake younger than $MAX_HANDSHAKE_AGE. A healthy tunnel
#   with keepalive renews it every 120-140 s; the mere presence of a handshake says nothing, it stays for ever.
# live tunnel: the script and its workers run, and where a configuration is in force its interface is there. A dead
#   server or a bad Secret is not a reason: a restart would not heal it.
# ready forward: the table has been read. live forward: the script runs. (A script's sign of life is a file's age.)
set -u
: "${FORWARDS_FILE:=/etc/flowgen-gateway/table/forwards}" "${RUN_DIR:=/run/flowgen-gateway}"
: "${STATE_DIR:=/tmp/forwards}" "${MAX_HANDSHAKE_AGE:=180}"

fail() { echo "$*" >&2; exit 1; }
fresh() { [ -n "$(find "$1" -mmin -2 2>/dev/null)" ]; }

ready_tunnel() {
  [ -r "$FORWARDS_FILE" ] || fail "no forward table yet"
  oldest=$(($(date +%s) - MAX_HANDSHAKE_AGE))
  # shellcheck disable=SC2013 # names hold no blanks
  for tunnel in $(cut -d ' ' -f 4 "$FORWARDS_FILE" | sort -u | grep -x '[A-Za-z0-9_=+][A-Za-z0-9_=+.-]*'); do
    last=$(wg show "$tunnel" latest-handshakes 2>/dev/null | cut -f 2 | sort -n | tail -n 1)
    [ "${last:-0}" -gt "$oldest" ] || fail "tunnel $tunnel: no handshake for $MAX_HANDSHAKE_AGE s"
  done
}

live_tunnel() {
  fresh "$RUN_DIR/alive" || fail "tunnel.sh does not run"
  for config in "$RUN_DIR"/*.conf; do
    tunnel=${config##*/} tunnel=${tunnel%.conf}
    [ -e "$config" ] || continue
    fresh "$RUN_DIR/$tunnel.alive" || fail "tunnel $tunnel: its worker does not run"
    wg show "$tunnel" >/dev/null 2>&1 || fail "tunnel $tunnel: no interface"
  done
}

ready_forward() { [ -e "$STATE_DIR/ready" ] || fail "the forward table has not been read yet"; }
live_forward() { fresh "$STATE_DIR/alive" || fail "forward.sh does not run"; }

case "${1-} ${2-}" in
  "ready tunnel" | "live tunnel" | "ready forward" | "live forward") "$1_$2" ;;
  *) fail "usage: probe.sh ready|live tunnel|forward" ;;
esac
