#!/bin/sh
# events.sh COUNTS: counts for metrics.sh what the listeners say on stdin, and passes their errors on to the log.
#
# A line is socat's, with notices (-d -d) and the forward's port as the program's name (-lp):
#
#     2026/11/27 19:08:19 7000[1234] N accepting connection from AF=2 10.244.2.20:54770 on AF=2 10.244.1.10:7000
#
# The line `counts N` makes it write the file COUNTS: N, then of each port that was used a line
# `port connects lastUse refused timeout unreachable reset limit sent received failing cause`. socat knows the bytes from
# 1.8 on, and says them when a session ends. `limit` counts how often a port had as many sessions as it may have. `failing`:
# how many connections to the target failed since one succeeded, and the cause of the last one (`-` where there is none).
set -u
# mawk reads whole blocks without this option; the others do not have it.
interactive=''
case $(awk -W version 2>&1 </dev/null) in mawk*) interactive='-W interactive' ;; esac
# shellcheck disable=SC2086 # two words or none
LC_ALL=C exec awk $interactive -v file="$1" '
function count(cause) { counts[port, cause]++ }
function fail(cause) { count(cause); if (/connect/) { failing[port]++; why[port] = cause } }
/^counts [0-9]+$/ {
  print $2 >(file ".new")
  for (port in last) {
    line = port " " counts[port, "connects"] + 0 " " last[port]
    for (i = 1; i <= causes; i++) line = line " " counts[port, cause[i]] + 0
    line = line sprintf(" %.0f %.0f", sent[port], received[port])
    print line " " failing[port] + 0 " " (failing[port] ? why[port] : "-") >(file ".new")
  }
  close(file ".new")
  system("mv " file ".new " file)
  next
}
$5 == "successfully" { failing[substr($3, 1, index($3, "[") - 1)] = 0 }
$4 == "N" && $5 != "accepting" && !/max-?children are active/ || $4 == "W" { next }
{ port = substr($3, 1, index($3, "[") - 1) }
$5 == "accepting" { count("connects"); last[port] = systime(); next }
$4 == "N" { count("limit"); next }
$5 == "STATISTICS:" { if ($6 == "left") sent[port] += $(NF - 1); else received[port] += $(NF - 1); next }
systime() != second { second = systime(); lines = 0 }
++lines <= 10 { print; fflush() } # a second: a client that tries again and again does not fill the log
/Connection refused/ { fail("refused") }
/timed out/ { fail("timeout") }
/unreachable|No such device/ { fail("unreachable") }
/reset by peer|Broken pipe/ { count("reset") }
BEGIN { causes = split("refused timeout unreachable reset limit", cause, " ") }' >&2
