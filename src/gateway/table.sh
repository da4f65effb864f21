#!/bin/sh
# table.sh [before] <forwards: the forward table as the other scripts may use it. One line for each listen port:
#
#     listenPort kind host port tunnel     kind: 4 (an IPv4 address), 6 (an IPv6 address) or name; listenPort: 1024-65533
#
# A line of the table is data. One without exactly the form `listenPort host port tunnel` is dropped here, because
# shells, socat and iptables take some characters for syntax. Of two lines for one port the first counts. A bad one
# leaves its port as it was in the file `before`, an earlier output of this script. A fault is said on stderr by the
# line's number, without repeating any of the line.
tr '\000' '?' | LC_ALL=C awk -v before="${1-}" '
function is_port(text, least) {
  return text ~ /^[1-9][0-9]*$/ && length(text) < 6 && text + 0 >= least && text + 0 < 65536
}
function is_ipv6(text, groups) {
  groups = gsub(group, "&", text)
  return text ~ ("^" list "$") ? groups == 8 : groups < 8 && text ~ ("^(" list ")?::(" list ")?$")
}
function is_name(text) {
  return text ~ /^[A-Za-z0-9][A-Za-z0-9.-]*$/ && text ~ /[A-Za-z]/ && text !~ /\.\./ && length(text) < 254
}
function kind_of(host) { return host ~ ipv4 ? "4" : is_ipv6(host) ? "6" : is_name(host) ? "name" : "" }
function is_tunnel(text) { return text ~ /^[A-Za-z0-9_=+][A-Za-z0-9_=+.-]*$/ && length(text) < 16 }
function wrong(reason) { print "forward table: line " NR " is ignored: " reason | "cat >&2" }
BEGIN {
  octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
  ipv4 = "^" octet "[.]" octet "[.]" octet "[.]" octet "$"
  group = "[0-9a-fA-F][0-9a-fA-F]?[0-9a-fA-F]?[0-9a-fA-F]?"
  list = group "(:" group ")*"
  while (before != "" && (getline <before) > 0) was[$1] = $0
}
!NF { next }
!is_port($1, 1024) || $1 > 65533 { wrong("no listen port"); next }
$1 in seen { wrong("port " $1 " is taken by a line above"); next }
{ seen[$1] = 1; kind = kind_of($2) }
NF != 4 || kind == "" || !is_port($3, 1) || !is_tunnel($4) {
  wrong("not valid")
  if ($1 in was) print was[$1]
  next
}
{ print $1, kind, $2, $3, $4 }'
