#!/bin/sh
# normalise.sh <secret >config: turns the text of a tunnel's Secret into a configuration that `wg syncconf` takes.
#
# People write `Key: value` as well as `Key = value`, with a BOM, CRLF, comments and keys that only wg-quick knows. wg
# refuses such a line and prints it whole, private key included. So every line is checked here first, and what is
# wrong is named by line number and key, never by value. Address, DNS and MTU, which wg does not know, come out as
# comments (`#address = 10.13.13.2`) for tunnel.sh. Table, SaveConfig and the hooks (PostUp ...) are left out: the
# gateway has routing tables of its own, and a Secret is not a program. A peer without a keepalive gets one, because
# an idle tunnel would otherwise let its handshake grow old and look dead. Exit 1: not usable, the reasons on stderr.
LC_ALL=C awk '
function wrong(reason) { print "line " NR ": " reason | "cat >&2"; failed = 1 }
function emit(line) { output = output line "\n" }
function end_section() {
  if (section == "[Peer]" && !has["publickey"]) wrong("the [Peer] above has no PublicKey")
  if (section == "[Peer]" && !has["persistentkeepalive"]) emit("PersistentKeepalive = 25")
  has["publickey"] = has["persistentkeepalive"] = 0
}
BEGIN {
  known = "PrivateKey ListenPort FwMark PublicKey PresharedKey AllowedIPs Endpoint PersistentKeepalive Address DNS MTU"
  for (count = split(known, names, " "); count > 0; count--) name_of[tolower(names[count])] = names[count]
}
NR == 1 { sub(/^\357\273\277/, "") }
{ sub(/#.*/, ""); gsub(/^[ \t]+|[ \t\r]+$/, "") }
$0 == "" { next }
tolower($0) ~ /^\[(interface|peer)\]$/ {
  end_section()
  section = tolower($0) == "[peer]" ? "[Peer]" : "[Interface]"
  emit(section); has[section] = 1; next
}
section == "" { wrong("text before the first [Interface]"); next }
!match($0, /^[A-Za-z]+[ \t]*[:=]/) { wrong("not a section and not Key = value"); next }
{
  key = tolower(substr($0, 1, RLENGTH - 1)); sub(/[ \t]+$/, "", key)
  value = substr($0, RLENGTH + 1); sub(/^[ \t]+/, "", value)
}
key ~ /^(table|saveconfig|(pre|post)(up|down))$/ || (key == "persistentkeepalive" && value ~ /^(0|off)$/) { next }
!(key in name_of) { wrong("unknown key (only the keys of wg-quick are known)"); next }
value == "" { if (key != "allowedips") wrong(name_of[key] " is empty"); next }
{ wanted = "" }
key ~ /key$/ && (value !~ /^[A-Za-z0-9+\/]+=$/ || length(value) != 44) { wanted = "a WireGuard key" }
key ~ /^(mtu|listenport)$/ && value !~ /^[0-9]+$/ { wanted = "a number" }
key ~ /^(address|allowedips)$/ && value !~ /^[0-9a-fA-F.:\/, \t]+$/ { wanted = "a list of addresses" }
wanted != "" { wrong(name_of[key] " is not " wanted); next }
{ has[key] = 1; emit((key ~ /^(address|dns|mtu)$/ ? "#" key : name_of[key]) " = " value) }
END {
  end_section()
  if (!has["privatekey"]) wrong("no PrivateKey")
  if (!has["address"]) wrong("no Address")
  if (!has["[Peer]"]) wrong("no [Peer]")
  if (failed) exit 1
  printf "%s", output
}'
