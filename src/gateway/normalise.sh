#!/bin/sh
# normalise.sh <secret >config: turns the text of a tunnel's Secret into a configuration that `wg syncconf` takes.
#
# People write `Key: value` as well as `Key = value`, with a BOM, CRLF, comments and keys that only wg-quick knows. The
# tool wg refuses such a line and prints it whole, private key included. So every line is checked here first, and what
# is wrong is named by line number and key, never by value. Left out are Table, SaveConfig and the hooks (PostUp ...):
# the gateway has routing tables of its own, and a Secret is not a program. So is ListenPort where a peer has an
# Endpoint: two tunnels of one pod cannot have the same, and no peer calls this side.
#
# For tunnel.sh there are comments: Address, DNS and MTU, which wg does not know (`#address = 10.13.13.2`), an Endpoint
# by name (see peers.sh), and what its log should say (`#note = peer 2 has no Endpoint …`). A keepalive is 1-120 s, 25
# by default: with a longer one an idle tunnel's handshake grows so old that it looks dead. Exit 1: not usable, the
# reasons on stderr.
tr '\000' '\001' | LC_ALL=C awk '
function wrong(reason) { print (NR ? "line " NR ": " : "") reason | "cat >&2"; failed = 1 }
function encoded(reason) { print reason | "cat >&2"; failed = is_encoded = 1; exit }
function emit(line) { output = output line "\n" }
function note(text) { emit("#note = " text) }
function end_section() {
  if (section == "[Peer]") {
    if (!has["publickey"]) wrong("the [Peer] above has no PublicKey")
    if (!has["persistentkeepalive"]) emit("PersistentKeepalive = 25")
    if (!has["endpoint"]) note("peer " peers " has no Endpoint: it is reached once it has called itself, and that is not known here")
  }
  has["publickey"] = has["persistentkeepalive"] = has["endpoint"] = 0
}
BEGIN {
  known = "PrivateKey ListenPort FwMark PublicKey PresharedKey AllowedIPs Endpoint PersistentKeepalive Address DNS MTU"
  for (count = split(known, names, " "); count > 0; count--) name_of[tolower(names[count])] = names[count]
}
NR == 1 && (/^\377\376/ || /^\376\377/ || /\001/) {
  encoded("the text is UTF-16, as PowerShell and Notepad write it: save it as UTF-8")
}
NR == 1 && /^PK\003\004/ { encoded("the text is a zip archive: unpack it and put the .conf into the Secret") }
NR == 1 { sub(/^\357\273\277/, "") }
{ sub(/#.*/, ""); gsub(/^[ \t]+|[ \t\r]+$/, "") }
$0 == "" { next }
section == "" && length($0) >= 40 && !/[^A-Za-z0-9+\/=]/ {
  encoded("the text is base64: it was encoded twice; put it under stringData, or encode it once under data")
}
tolower($0) ~ /^\[(interface|peer)\]$/ {
  end_section()
  section = tolower($0) == "[peer]" ? "[Peer]" : "[Interface]"
  if (section == "[Peer]") peers++
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
value == "" { if (key !~ /^(allowedips|dns|mtu)$/) wrong(name_of[key] " is empty"); next }
{ wanted = "" }
key ~ /key$/ && (value !~ /^[A-Za-z0-9+\/]+=$/ || length(value) != 44) { wanted = "a WireGuard key" }
key ~ /^(mtu|listenport|persistentkeepalive)$/ && value !~ /^[0-9]+$/ { wanted = "a number" }
key ~ /^(address|allowedips)$/ && value !~ /^[0-9a-fA-F.:\/, \t]+$/ { wanted = "a list of addresses" }
key == "endpoint" && value !~ /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]+$/ { wanted = "host:port" }
wanted != "" { wrong(name_of[key] " is not " wanted); next }
{ has[key] = 1 }
key == "listenport" { port = value; emit("@listenport"); next }
key == "endpoint" { is_client = 1 }
key == "endpoint" && value ~ /[A-Za-z_].*:[0-9]+$/ && value !~ /^\[/ { emit("#endpoint = " value); next }
key == "persistentkeepalive" && value + 0 > 120 {
  note("PersistentKeepalive of peer " peers " is " value ", longer than 120 s: 120 is taken")
  value = 120
}
{ emit((key ~ /^(address|dns|mtu)$/ ? "#" key : name_of[key]) " = " value) }
END {
  if (is_encoded) exit 1
  end_section()
  NR = 0
  if (!has["privatekey"]) wrong("no PrivateKey")
  if (!has["address"]) wrong("no Address")
  if (!has["[Peer]"]) wrong("no [Peer]")
  if (failed) exit 1
  sub(/@listenport\n/, is_client ? "" : "ListenPort = " port "\n", output)
  printf "%s", output
}'
