#!/bin/sh
# reach.sh <table: the lines of table.sh again. A line whose target must not be connected to has the reason behind it:
#
#     listenPort kind host port tunnel [reason]
#
# A target is an address inside its tunnel's AllowedIPs: outside of them a connection would hang. It is not in a range
# without private servers, nor an address of this pod or its tunnels. Every address of a name is checked in the same way
# (names.sh), because an admission sees the name alone. A line with a name passes as it is.
set -u
: "${UP_DIR:=/run/flowgen-tunnels}"
LC_ALL=C awk -v up="$UP_DIR" '
function digits(text,   out, i) { # hexadecimal: four bits each
  for (i = 1; i <= length(text); i++) out = out nibble[tolower(substr(text, i, 1))]
  return out
}
function ipv4(text,   octets, out, i) {
  if (split(text, octets, ".") != 4) return ""
  for (i = 1; i <= 4; i++) out = out digits(sprintf("%02x", octets[i]))
  return "4" out
}
function groups(text,   list, out, count, i) {
  count = split(text, list, ":")
  for (i = 1; i <= count; i++) out = out digits(substr("0000" list[i], length(list[i]) + 1))
  return out
}
function ipv6(text,   gap, head, tail) {
  gap = index(text, "::")
  if (!gap) return "6" groups(text)
  head = groups(substr(text, 1, gap - 1)); tail = groups(substr(text, gap + 2))
  return "6" head substr(zeros, 1, 128 - length(head) - length(tail)) tail
}
function bits(text) { return text ~ /[.]/ && text !~ /:/ ? ipv4(text) : text ~ /^[0-9a-fA-F:]+$/ ? ipv6(text) : "" }
function start_of(prefix,   parts) { # the bits that all its addresses begin with
  split(prefix, parts, "/")
  return substr(bits(parts[1]), 1, 1 + parts[2])
}
function is_in(address, start) { return substr(address, 1, length(start)) == start }
function read_own(   line, at, fields) {
  while ((getline line < "/proc/net/fib_trie") > 0) {
    if (match(line, /[|]-- /)) at = substr(line, RSTART + 4)
    else if (line ~ /\/32 host LOCAL/) own[bits(at)]
  }
  while ((getline line < "/proc/net/if_inet6") > 0) { split(line, fields, " "); own["6" digits(fields[1])] }
}
function read_tunnel(tunnel,   line, fields) { # see publish in tunnel.sh
  is_known[tunnel] = 1
  while ((getline line < (up "/" tunnel)) > 0) {
    split(line, fields, " ")
    if (fields[1] == "allowed") allowed[tunnel] = allowed[tunnel] " " start_of(fields[2])
    if (fields[1] == "own") own[bits(fields[2])]
  }
}
function is_allowed(address, tunnel,   list, count) {
  for (count = split(allowed[tunnel], list, " "); count > 0; count--) if (is_in(address, list[count])) return 1
  return 0
}
function forbidden(address,   i) { # the range
  for (i = 1; i <= ranges; i++) if (is_in(address, start[i])) return range[i]
  return ""
}
function why(address, tunnel) {
  if (address == "") return "is no address"
  if (forbidden(address) != "") return "is in " forbidden(address) ", where no private server is"
  if (is_in(address, nat64) && forbidden("4" substr(address, 98)) != "") return "leads to no private server (NAT64)"
  if (address in own) return "is an address of the gateway itself"
  return is_allowed(address, tunnel) ? "" : "is outside the AllowedIPs of tunnel " tunnel
}
BEGIN {
  for (i = 0; i < 16; i++) {
    nibble[sprintf("%x", i)] = int(i / 8) "" (int(i / 4) % 2) "" (int(i / 2) % 2) "" (i % 2)
    zeros = zeros "00000000"
  }
  # Unspecified, loopback, link-local (clouds answer there with credentials), IETF, multicast and reserved; IPv6: those,
  # IPv4 in other forms, relays, site-local, the metadata services of clouds.
  ranges = split("0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 192.0.0.0/24 224.0.0.0/3 100.100.100.200/32 168.63.129.16/32 " \
    "::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 2001::/32 2002::/16 fe80::/10 fec0::/10 ff00::/8 " \
    "fd00:ec2::23/128 fd00:ec2::253/128 fd00:ec2::254/128 fd20:ce::254/128", range, " ")
  for (i = 1; i <= ranges; i++) start[i] = start_of(range[i])
  nat64 = start_of("64:ff9b::/96")
  read_own()
}
$2 == "name" { print; next }
{
  if (!($5 in is_known)) read_tunnel($5)
  if (!(($3, $5) in known)) known[$3, $5] = why(bits($3), $5)
  reason = known[$3, $5]
  print $0 (reason == "" ? "" : " " $3 " " reason)
}'
