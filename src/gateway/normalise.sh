#!/bin/sh
# normalise.sh <secret >config: turns the text of a tunnel's Secret into a configuration that `wg syncconf` takes.
#
# People write `Key: value` as well as `Key = value`, with a BOM, CRLF, comments and keys that only wg-quick knows. wg
# refuses such a line and prints it whole, private key included. So every line is checked here first, and what is
# wrong is named by line number and key, never by value. Address, DNS and MTU, which wg does not know, come out as
# comments (`#address = 10.13.13.2`) for tunnel.sh. Table, SaveConfig and the hooks (PostUp ...) are left out: the
# gateway has routing tables of its own, and a Secret is not a program. A peer without a keepalive gets one, because
# an idle tunnel would otherwise let its handshake grow old and look dead. Exit 1: not usable, the reasons on stderr.
# shellcheck disable=SC2016 # the program is awk's
exec env LC_ALL=C awk '
function wrong(reason) { printf "line %d: %s\n", NR, reason | "cat >&2"; failed = 1 }
function emit(line) { output = output line "\n" }
function end_section() {
  if (section != "peer") return
  if (!("publickey" in has)) wrong("the [Peer] above has no PublicKey")
  if (!("persistentkeepalive" in has)) emit("PersistentKeepalive = 25")
}
function is_key(text) { return length(text) == 44 && text ~ /^[A-Za-z0-9+\/]+=$/ }
function setting(key, value) {
  if (key ~ /^(table|saveconfig|(pre|post)(up|down))$/) return
  if (!(key in name_of)) { wrong("unknown key (only the keys of wg-quick are known)"); return }
  if (value == "") { if (key != "allowedips") wrong(name_of[key] " is empty"); return }
  if (key ~ /key$/ && !is_key(value)) { wrong(name_of[key] " is not a WireGuard key"); return }
  if (key ~ /^(mtu|listenport)$/ && value !~ /^[0-9]+$/) { wrong(name_of[key] " is not a number"); return }
  if (key ~ /^(address|allowedips)$/ && value !~ /^[0-9a-fA-F.:\/, \t]+$/) {
    wrong(name_of[key] " is not a list of addresses")
    return
  }
  if (key == "persistentkeepalive" && value ~ /^(0|off)$/) return
  has[key] = 1
  if (key ~ /^(address|dns|mtu)$/) emit("#" key " = " value)
  else emit(name_of[key] " = " value)
}
BEGIN {
  known = "PrivateKey ListenPort FwMark PublicKey PresharedKey AllowedIPs Endpoint PersistentKeepalive Address DNS MTU"
  for (count = split(known, names, " "); count > 0; count--) name_of[tolower(names[count])] = names[count]
}
NR == 1 { sub(/^\357\273\277/, "") }
{ sub(/#.*/, ""); gsub(/^[ \t]+|[ \t\r]+$/, "") }
$0 == "" { next }
tolower($0) == "[interface]" { end_section(); section = "interface"; emit("[Interface]"); next }
tolower($0) == "[peer]" {
  end_section(); section = "peer"; peers++; emit("[Peer]")
  delete has["publickey"]; delete has["persistentkeepalive"]
  next
}
section == "" { wrong("text before the first [Interface]"); next }
!match($0, /^[A-Za-z]+[ \t]*[:=]/) { wrong("not a section and not Key = value"); next }
{
  key = tolower(substr($0, 1, RLENGTH - 1)); sub(/[ \t]+$/, "", key)
  value = substr($0, RLENGTH + 1); sub(/^[ \t]+/, "", value)
  setting(key, value)
}
END {
  end_section()
  if (!("privatekey" in has)) wrong("no PrivateKey")
  if (!("address" in has)) wrong("no Address")
  if (!peers) wrong("no [Peer]")
  if (failed) exit 1
  printf "%s", output
}'
