#!/bin/sh
# kernel.sh: forwards in the kernel, nearly as fast as plain routing; started by tunnel.sh where FORWARDER=kernel.
#
# forward.sh listens on every port of the table. This script puts DNAT rules before its listeners where it can: targets
# that are addresses, by tunnels that are up. All others reach socat as before: host names, an address family that the
# pod does not forward, a tunnel with a strict reverse path check. So does all if iptables refuses the rules. No forward
# depends on this script. A port that is to refuse does: no rule is before it, and no process listens.
#
# When the table, the tunnels or their MTU change, one iptables-restore replaces the rules of a family, in chains of
# this script's own. Every ten seconds they are put in again, in case that others removed them. Only the first packet of
# a connection asks for its forward. When a line is gone, the next packet of each of its connections is answered by a
# reset. The target is no longer granted, and a client's pool would hold them for days.
#
# A forward leaves by its tunnel or not at all. A connection keeps the mark of its tunnel while that is up, and the mark
# selects the tunnel's routing table (tunnel.sh). A packet that would be forwarded otherwise, or a marked one that would
# stay in the pod, is reset. A target that does not answer within 7 s is given up at the client's next SYN. The MSS is
# set, because the pod has no socket that would learn that a packet was too big.
set -u
: "${FORWARDS_FILE:=/etc/flowgen-gateway/table/forwards}" "${RUN_DIR:=/run/flowgen-gateway}"
: "${UP_DIR:=/run/flowgen-tunnels}" "${CLIENT_INTERFACE:=eth0}" "${POLL:=0.5}" "${MOST_CUT:=50}"
seen=$RUN_DIR/_seen table=$RUN_DIR/_table cut=$RUN_DIR/_cut filters=/proc/sys/net/ipv4/conf
lines=$RUN_DIR/_reachable # those that count, see reach.sh: at the end none

tunnels() { # FAMILY: `tunnel mark mtu` of each that is up and can be used, and `# reason` of the others
  switch=ipv4/ip_forward forwards=0
  [ "$1" = 4 ] || switch=ipv6/conf/all/forwarding
  read -r forwards 2>/dev/null <"/proc/sys/net/$switch"
  for file in "$UP_DIR"/*; do
    tunnel=${file##*/} all=0 own=0
    read -r mark _ 2>/dev/null <"$file" || continue
    read -r mtu 2>/dev/null <"/sys/class/net/$tunnel/mtu" || mtu=0
    [ "$1" = 6 ] || { read -r all <"$filters/all/rp_filter" && read -r own <"$filters/$tunnel/rp_filter"; } 2>/dev/null
    case $forwards$all$own in # the higher one of the two filters counts
      0*) echo "# IPv$1 by $tunnel stays with socat: $switch is 0" ;;
      1*2* | 100) echo "$tunnel $mark $mtu" ;;
      *) echo "# IPv4 by $tunnel stays with socat: rp_filter is 1 (strict)" ;;
    esac
  done
}

rules() { # FAMILY: for iptables-restore; the nat table, which sends connections this way, comes last
  # The life of an entry without an answer; a SYN that comes again does not renew it.
  life=$(cat /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_syn_sent 2>/dev/null)
  { sed 's/^/cut /' "$cut"; tunnels "$1"; } | awk -v family="$1" -v clients="$CLIENT_INTERFACE" -v left="$((${life:-120} - 7))" '
    function rule(table, text) { rules[table] = rules[table] "-A FLOWGEN-" text "\n" }
    function chains(table, chain, other) {
      print "*" table "\n:FLOWGEN-" chain " - [0:0]"
      if (other) print ":FLOWGEN-" other " - [0:0]"
      print rules[table] "COMMIT"
    }
    BEGIN {
      reset = " -j REJECT --reject-with tcp-reset"
      data = " -p tcp --tcp-flags SYN NONE"
      unanswered = " -p tcp --syn -m conntrack --ctstate NEW --ctstatus CONFIRMED --ctexpire 0:" left
      rule("nat", "PREROUTING ! -i " clients " -j RETURN")
      rule("nat", "PREROUTING -m addrtype ! --dst-type LOCAL -j RETURN")
    }
    /^#/ { print; next }
    /^cut / {
      was = " -m conntrack --ctorigdstport " $2 " --ctreplsrc " $4 " --ctreplsrcport " $5
      if ($3 == family) rule("filter", "FORWARD -p tcp" was reset)
      next
    }
    NF == 3 { rule("mangle", "PREROUTING -i " clients " -m connmark --mark " $2 " -j CONNMARK --restore-mark") }
    NF == 3 && $3 > 0 {
      mark[$1] = $2
      ours = " -m mark --mark " $2
      mss = " -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss " $3 - (family == 4 ? 40 : 60)
      rule("nat", "POSTROUTING -o " $1 ours " -j MASQUERADE")
      # Data comes first, because each rule costs each packet that it does not decide.
      rule("filter", "FORWARD -i " $1 data " -m conntrack --ctstate ESTABLISHED -j ACCEPT")
      rule("filter", "FORWARD -o " $1 ours data " -j ACCEPT")
      rule("filter", "FORWARD -o " $1 ours " -m conntrack --ctstate NEW -j CONNMARK --save-mark")
      rule("filter", "FORWARD -o " $1 mss)
      rule("filter", "FORWARD -i " $1 mss)
      rule("filter", "FORWARD -i " $1 " -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
      rule("filter", "FORWARD -o " $1 ours unanswered reset)
      rule("filter", "FORWARD -o " $1 ours " -j ACCEPT")
      rule("filter", "INPUT -p tcp" ours reset)
    }
    NF == 5 && $2 == family && ($5 in mark) {
      count++
      target = family == 4 ? $3 : "[" $3 "]"
      rule("nat", "PREROUTING -p tcp --dport " $1 " -j MARK --set-mark " mark[$5])
      rule("nat", "PREROUTING -p tcp --dport " $1 " -j DNAT --to-destination " target ":" $4)
    }
    END {
      rule("filter", "FORWARD -p tcp" reset)
      rule("filter", "FORWARD -j DROP")
      chains("mangle", "PREROUTING")
      chains("filter", "FORWARD", "INPUT")
      chains("nat", "PREROUTING", "POSTROUTING")
      print "# IPv" family ": " count + 0 " forwards"
    }' - "$lines"
}

# For metrics.sh: `port connects lastUse sessions`, before the rules' counters go. A DNAT rule sees the first packet of each
# connection. The open ones are known where the kernel lists its connections (CONFIG_NF_CONNTRACK_PROCFS).
count_connects() { # FAMILY
  counts=$UP_DIR/._kernel$1
  [ -e "$counts" ] || : >"$counts"
  saved=$($iptables-save -c -t nat 2>/dev/null)
  connections='' # the list is the whole node's before it is the pod's: not read for nothing
  case $saved in *' DNAT '*) connections=/proc/net/nf_conntrack ;; esac
  { cat "$counts"; echo "$saved"; [ -z "$connections" ] || cat "$connections"; } 2>/dev/null | awk -v now="$(date +%s)" \
    -v family="ipv$1" '
    NF == 4 && !/[^0-9 ]/ { connects[$1] = $2; last[$1] = $3; next }
    /^\[.*--dport .* -j DNAT / {
      new = substr($1, 2) + 0
      match($0, /--dport [0-9]+/)
      at = substr($0, RSTART + 8, RLENGTH - 8)
      connects[at] += new
      if (!(at in last) || new) last[at] = new ? now : 0
    }
    $1 == family && / ESTABLISHED .* mark=1[0-9][0-9][0-9][0-9]/ { match($0, /dport=[0-9]+/); open_at[substr($0, RSTART + 6, RLENGTH - 6)]++ }
    END { for (at in last) print at, connects[at] + 0, last[at], open_at[at] + 0 }' >"$counts.new" && mv "$counts.new" "$counts"
}

install() { # FAMILY: its rules, and now and then where they are asked
  iptables=iptables
  [ "$1" = 4 ] || iptables=ip6tables
  count_connects "$1"
  $iptables-restore -w --noflush <"$RUN_DIR/_rules$1" || return
  [ "$due" = 0 ] || return 0
  for hook in mangle-PREROUTING filter-FORWARD filter-INPUT nat-POSTROUTING nat-PREROUTING; do
    in_table=${hook%-*} chain=${hook#*-}
    $iptables -w -t "$in_table" -C "$chain" -j "FLOWGEN-$chain" 2>/dev/null ||
      $iptables -w -t "$in_table" -I "$chain" -j "FLOWGEN-$chain" || return
  done
}

update() { # the families whose rules changed; when it is due both
  for family in 4 6; do
    rules $family >"$RUN_DIR/_new"
    if ! cmp -s "$RUN_DIR/_new" "$RUN_DIR/_rules$family"; then sed -n 's/^# /kernel: /p' "$RUN_DIR/_new" >&2
    elif [ "$due" != 0 ]; then continue; fi
    mv "$RUN_DIR/_new" "$RUN_DIR/_rules$family"
    install $family 2>"$RUN_DIR/_errors" && continue
    $iptables -w -t nat -F FLOWGEN-PREROUTING 2>/dev/null
    echo "kernel: IPv$family stays with socat: $(head -n 1 "$RUN_DIR/_errors")" >&2
  done
}

remember_cut() { # the lines that are gone, the newest last; each costs every packet a rule
  { cat "$cut"; sh "${0%/*}/gone.sh" "$RUN_DIR/_new" <"$table"; } >"$RUN_DIR/_gone"
  sh "${0%/*}/gone.sh" "$RUN_DIR/_new" <"$RUN_DIR/_gone" | tail -n "$MOST_CUT" >"$cut"
}

end_rules() { # no new connections; the others have until tunnel.sh ends
  lines=/dev/null
  update
  exit 0
}

due=0 before=''
rm -f "$UP_DIR"/._kernel[46]
: >>"$table" && : >>"$cut" && : >"$lines"
trap end_rules TERM INT
while :; do
  : >"$RUN_DIR/_kernel.alive"
  if ! cmp -s "$FORWARDS_FILE" "$seen" && cp "$FORWARDS_FILE" "$seen" 2>/dev/null; then
    sh "${0%/*}/table.sh" "$table" <"$seen" >"$RUN_DIR/_new" 2>/dev/null && remember_cut && mv "$RUN_DIR/_new" "$table"
    before=changed
  fi
  now=$(tunnels 4; tunnels 6; cat "$UP_DIR"/* 2>/dev/null)
  if [ "$due" = 0 ] || [ "$now" != "$before" ]; then
    sh "${0%/*}/reach.sh" <"$table" >"$lines"
    update
    before=$now
  fi
  due=$((due > 0 ? due - 1 : 20))
  sleep "$POLL" & wait $!
done
