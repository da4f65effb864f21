#!/bin/sh
# metrics.sh: answers one HTTP request with the pod's metrics, in Prometheus' text format. forward.sh listens for it.
#
# It reads the files that the other scripts keep. Those of each tunnel are written by observe in peers.sh. The counts of
# socat's forwards are asked of events.sh here, and those of the kernel's come from count_connects in kernel.sh. Open
# sessions are the kernel's sockets. Without requests the pod does nothing for its metrics but write the tunnels' files.
set -u
: "${UP_DIR:=/run/flowgen-tunnels}" "${STATE_DIR:=/tmp/forwards}" "${GATEWAY:=}" "${BUILD:=}"
cr=$(printf '\r')
read -r method path _ || exit 0
while read -r line && [ -n "${line%"$cr"}" ]; do :; done
case "$method $path" in
  'GET /identity') # see siblings.sh
    state=waits
    for sign in holds leaves; do [ ! -e "$UP_DIR/._$sign" ] || state=$sign; done
    printf 'HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n%s %s %s\n' "${SELF:-}" "${POD:-$(cat /proc/sys/kernel/hostname)}" "$state"
    exit 0 ;;
  'GET /metrics' | 'GET /metrics?'*) ;;
  *) printf 'HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\n'; exit 0 ;;
esac

cd "$STATE_DIR" || exit
echo "counts $$" >events
tries=0
until read -r asked 2>/dev/null <counts && [ "$asked" = $$ ] || [ $((tries += 1)) -gt 50 ]; do sleep 0.02; done

inputs=''
add() { # KIND FILE...
  kind=$1 && shift
  for file; do [ ! -r "$file" ] || inputs="$inputs kind=$kind $file"; done
}
add tunnel "$UP_DIR"/._metrics/*
add kernel "$UP_DIR"/._kernel[46]
add counts counts
add socket /proc/net/tcp /proc/net/tcp6
add forward reachable
listening=$(echo [0-9]*) up=$(cd "$UP_DIR" && echo *)
table=$(md5sum 2>/dev/null <seen) taken=$(stat -c %Y seen 2>/dev/null)

printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nConnection: close\r\n\r\n'
# shellcheck disable=SC2086 # words
LC_ALL=C exec awk -v gateway="$GATEWAY" -v build="$BUILD" -v table="${table%% *}" -v taken="${taken:-0}" \
  -v listening="$listening" -v up="$up" '
function words(text, into,   list, count) { for (count = split(text, list, " "); count > 0; count--) into[list[count]] = 1 }
function metric(name, type, help) {
  name = "flowgen_gateway_" name
  print "# HELP " name " " help "\n# TYPE " name " " type
  prefix = name "{gateway=\"" gateway "\","
}
function sample(labels, value) { print prefix labels "} " value }
function of_tunnels(values,   i) { for (i = 1; i <= tunnels; i++) sample(tunnel_labels[i], values[i] + 0) }
function of_peers(values,   i) { for (i = 1; i <= peers; i++) sample(peer_labels[i], values[i] + 0) }
function of_forwards(values,   i) { for (i = 1; i <= forwards; i++) print prefix, labels[i], "} ", values[port[i]] + 0 }
function of_causes(i,   j) {
  if (port[i] in used) for (j = 1; j <= causes; j++) print prefix, labels[i], cause_label[j], failures[port[i], cause[j]] + 0
  else for (j = 1; j <= causes; j++) print prefix, labels[i], cause_label[j], 0
}
BEGIN {
  OFS = "" # 500 forwards are thousands of lines: busybox prints a list of words in half the time that it takes to join them
  words(listening, listens)
  words(up, is_up)
  causes = split("refused timeout unreachable reset limit", cause, " ")
  for (j = 1; j <= causes; j++) cause_label[j] = ",cause=\"" cause[j] "\"} "
}
kind == "tunnel" && FNR == 1 { # mtu
  name = FILENAME; sub(/.*\//, "", name)
  tunnel_labels[++tunnels] = "tunnel=\"" name "\""; answers[tunnels] = name in is_up; mtu[tunnels] = $1
  next
}
kind == "tunnel" { # number endpoint handshake received sent
  peer_labels[++peers] = "tunnel=\"" name "\",peer=\"" $1 "\""; endpoint[peers] = $2; handshake[peers] = $3
  peer_received[peers] = $4; peer_sent[peers] = $5
}
kind == "kernel" { # port connects lastUse sessions
  connects[$1] += $2; if ($3 > last[$1]) last[$1] = $3
  sessions[$1] += $4
}
kind == "counts" && NF > 1 {
  used[$1]; connects[$1] += $2; if ($3 > last[$1]) last[$1] = $3
  for (i = 1; i <= causes; i++) failures[$1, cause[i]] = $(3 + i)
  sent[$1] = $9; received[$1] = $10; bytes += $9 + $10
  failing[$1] = $11; why[$1] = $12
}
kind == "socket" && $4 == "01" { open_at[substr($2, length($2) - 3)]++ }
kind == "forward" {
  port[++forwards] = $1
  target = $2 == 6 ? "[" $3 "]" : $3
  labels[forwards] = "tunnel=\"" $5 "\",target=\"" target ":" $4 "\",port=\"" $1 "\""
  sessions[$1] += open_at[sprintf("%04X", $1)]
  serves[$1] = $1 in listens
  if (!serves[$1]) refuses[forwards] = !($5 in is_up) ? "tunnel" : NF > 5 ? "target" : $2 == "name" ? "name" : "listener"
}
END {
  metric("pod_info", "gauge", "The scripts that run (the annotation flowgen.io/scripts of the pod) and the forward table in force (md5sum of its key forwards).")
  sample("build=\"" build "\",table=\"" table "\"", 1)
  metric("pod_table_timestamp_seconds", "gauge", "When the pod took the forward table that is in force.")
  print "flowgen_gateway_pod_table_timestamp_seconds{gateway=\"" gateway "\"} " taken
  metric("tunnel_up", "gauge", "1 while a peer of the tunnel answers: its newest handshake is younger than 180 s. At 0 its forwards refuse.")
  of_tunnels(answers)
  metric("tunnel_mtu_bytes", "gauge", "MTU of the interface; 0 where there is none.")
  of_tunnels(mtu)
  metric("tunnel_peer_info", "gauge", "The peers by their number in the Secret, and the address in use as the endpoint.")
  for (i = 1; i <= peers; i++) sample(peer_labels[i] ",address=\"" endpoint[i] "\"", 1)
  metric("tunnel_latest_handshake_timestamp_seconds", "gauge", "When the peer answered last; 0: never.")
  of_peers(handshake)
  metric("tunnel_received_bytes_total", "counter", "Encrypted bytes from the peer.")
  of_peers(peer_received)
  metric("tunnel_sent_bytes_total", "counter", "Encrypted bytes to the peer.")
  of_peers(peer_sent)
  metric("forward_up", "gauge", "1 while the port takes connections.")
  of_forwards(serves)
  metric("forward_refuses", "gauge", "Why a port refuses: its tunnel is not up, its target must not be connected to, its name has no address, its listener cannot start.")
  for (i = 1; i <= forwards; i++) if (i in refuses) sample(labels[i] ",reason=\"" refuses[i] "\"", 1)
  metric("forward_sessions", "gauge", "Open connections of clients.")
  of_forwards(sessions)
  metric("forward_connects_total", "counter", "Connections of clients.")
  of_forwards(connects)
  metric("forward_failures_total", "counter", "Connections that failed: the target refused, did not answer in time, could not be reached, or reset; limit: how often the port had as many sessions as it may have, so that clients waited.")
  for (i = 1; i <= forwards; i++) of_causes(i)
  metric("forward_failing", "gauge", "How many connections to the target failed since one succeeded, by the cause of the last one. Absent while they succeed.")
  for (i = 1; i <= forwards; i++) if (port[i] in used && failing[port[i]]) sample(labels[i] ",cause=\"" why[port[i]] "\"", failing[port[i]])
  metric("forward_last_use_timestamp_seconds", "gauge", "When a client connected last; 0: never since the container started.")
  of_forwards(last)
  if (!bytes) exit
  metric("forward_sent_bytes_total", "counter", "Bytes from clients to the target, of sessions that ended.")
  of_forwards(sent)
  metric("forward_received_bytes_total", "counter", "Bytes from the target to clients, of sessions that ended.")
  of_forwards(received)
}' $inputs
