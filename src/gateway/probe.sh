#!/bin/sh
# probe.sh tunnel|forward: whether the wireguard or the socat container is alive. (Ready is what listens: forward.sh.)
#
# tunnel: the scripts run, and where a configuration is in force its interface is there. A dead server or a bad Secret is
#   not a reason: a restart would not heal it. forward: the script runs.
set -u
: "${RUN_DIR:=/run/flowgen-gateway}" "${STATE_DIR:=/tmp/forwards}"

fail() { echo "$*" >&2; exit 1; }
is_fresh() { [ -n "$(find "$1" -mmin -2 2>/dev/null)" ]; } # FILE: a sign of life

case "${1-}" in
  tunnel)
    for sign in "$RUN_DIR"/*.alive; do is_fresh "$sign" || fail "$sign is old: its process does not run"; done
    for config in "$RUN_DIR"/*.conf; do
      tunnel=${config##*/} tunnel=${tunnel%.conf}
      [ ! -e "$config" ] || wg show "$tunnel" >/dev/null 2>&1 || fail "tunnel $tunnel: no interface"
    done ;;
  forward) is_fresh "$STATE_DIR/alive" || fail "forward.sh does not run" ;;
  *) fail "usage: probe.sh tunnel|forward" ;;
esac
