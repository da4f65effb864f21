#!/bin/sh
# table.sh [before] <forwards: the forward table as the other scripts may use it. One line for each listen port:
#
#     listenPort kind host port tunnel     kind: 4 (an IPv4 address), 6 (an IPv6 address) or name
#
# A line of the table is data: what does not have exactly the form `listenPort host port tunnel` never gets further than
# here, because shells, socat and iptables take some characters for syntax. Of two lines for one port the first counts;
# a bad one leaves its port what it was in the file `before`, an earlier output of this script. What is wrong is said on
# stderr by the line's number, without repeating any of it.
tr '\000' '?' | LC_ALL=C awk -v before="${1-}" '
function is_port(text, least) {
  return text ~ /^[1-9][0-9]*$/ && length(text) < 6 && text + 0 >= least && text + 0 < 65536
}
function is_ipv4(text, part, i) {
  if (text !~ /^[0-9.]+$/ || split(text, part, ".") != 4) return 0
  for (i = 1; i < 5; i++) if (part[i] !~ /^(0|[1-9][0-9]?[0-9]?)$/ || part[i] > 255) return 0
  return 1
}
function is_ipv6(text, part, count, gaps, i) { # the gap `::` is counted as one part
  if (text !~ /^[0-9a-fA-F:]+$/) return 0
  gaps = gsub(/::/, ":-:", text)
  sub(/^:-/, "-", text); sub(/-:$/, "-", text)
  count = split(text, part, ":")
  for (i = 1; i <= count; i++) if (part[i] !~ /^(-|[0-9a-fA-F][0-9a-fA-F]?[0-9a-fA-F]?[0-9a-fA-F]?)$/) return 0
  return gaps ? gaps == 1 && count < 9 : count == 8
}
function is_name(text) {
  return text ~ /^[A-Za-z0-9][A-Za-z0-9.-]*$/ && text ~ /[A-Za-z]/ && text !~ /\.\./ && length(text) < 254
}
function kind_of(host) { return is_ipv4(host) ? "4" : is_ipv6(host) ? "6" : is_name(host) ? "name" : "" }
function is_tunnel(text) { return text ~ /^[A-Za-z0-9_=+][A-Za-z0-9_=+.-]*$/ && length(text) < 16 }
function wrong(reason) { print "forward table: line " NR " is ignored: " reason | "cat >&2" }
BEGIN { while (before != "" && (getline <before) > 0) was[$1] = $0 }
!NF { next }
!is_port($1, 1024) { wrong("no listen port"); next }
$1 in seen { wrong("port " $1 " is taken by a line above"); next }
{ seen[$1] = 1; kind = kind_of($2) }
NF != 4 || kind == "" || !is_port($3, 1) || !is_tunnel($4) {
  wrong("not valid")
  if ($1 in was) print was[$1]
  next
}
{ print $1, kind, $2, $3, $4 }'
