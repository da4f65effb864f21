# shellcheck shell=sh disable=SC2154,SC2034 # variables of the worker, see tunnel.sh
# peers.sh: the part of tunnel.sh for a tunnel's peers: the addresses of their endpoints' names, and which of them do
# not answer. A peer is called by its number in the Secret.
#
# wg gets addresses, never a name: it would look a name up once only, with the pod's search domains, and wait for it.
# Here a name is looked up in the background, at once when its configuration is new, then every $ENDPOINT_EVERY s. While
# a peer does not answer it is three times as often. An address stays while it is one of the answers and the peer
# answers; else the next one is tried. Files: $tunnel.answer.<peer> (of a look-up), $tunnel.at.<peer> (what wg got).

peers() { # CONFIG: `number publicKey endpoint kind`, kind: address or name; `- none` where there is no Endpoint
  awk -F ' = ' '
    function end() { if (key != "") print ++count, key, (endpoint == "" ? "- none" : endpoint); key = endpoint = "" }
    /^\[/ { end() }
    $1 == "PublicKey" { key = $2 }
    $1 == "Endpoint" { endpoint = $2 " address" }
    $1 == "#endpoint" { endpoint = $2 " name" }
    END { end() }' "$1"
}

handshake() { # PUBLIC_KEY: when its last one was, 0 for none
  wg show "$tunnel" latest-handshakes | awk -v key="$1" '$1 == key { print $2 }'
}
endpoint_of() { wg show "$tunnel" endpoints | awk -v key="$1" '$1 == key { print $2 }'; }
is_silent() { # PUBLIC_KEY
  last=$(handshake "$1")
  [ $(($(date +%s) - ${last:-0})) -gt "$MAX_HANDSHAKE_AGE" ]
}

look_up() { # the names of all endpoints
  while read -r peer key endpoint kind; do
    [ "$kind" = name ] || continue
    answer=$RUN_DIR/$tunnel.answer.$peer
    { { echo "$key $endpoint"; sh "$scripts/ask.sh" "${endpoint%:*}"; } >"$answer.new"; mv "$answer.new" "$answer"; } &
  done <"$RUN_DIR/$tunnel.peers"
  look_up_at=$(($(date +%s) + ENDPOINT_EVERY))
}

look_up_sooner() { # where a peer does not answer
  sooner=$(($(date +%s) + (ENDPOINT_EVERY + 2) / 3))
  [ "$look_up_at" -le "$sooner" ] || look_up_at=$sooner
}

# The peer is removed and added again, which makes a handshake at once. Otherwise one without an address yet would wait
# 5 s. One that moved would wait for new keys, up to two minutes. (The routes stay, and so do the sessions in the
# tunnel.)
move() { # PUBLIC_KEY ADDRESS:PORT
  wg set "$tunnel" peer "$1" remove
  wg set "$tunnel" peer "$1" endpoint "$2"
  wg syncconf "$tunnel" "$in_force"
}

set_endpoints() { # to what the look-ups found
  while read -r peer key endpoint kind; do
    answer=$RUN_DIR/$tunnel.answer.$peer was='' at=''
    if [ "$kind" != name ] || [ ! -e "$answer" ]; then continue; fi
    { read -r was; addresses=$(cat); } <"$answer"
    rm "$answer"
    [ "$was" = "$key $endpoint" ] || continue
    if [ -z "$addresses" ]; then
      case $nameless in
        *" $peer "*) ;;
        *) nameless="$nameless$peer " && say "peer $peer: its endpoint's name ${endpoint%:*} has no address" ;;
      esac
      look_up_sooner
      continue
    fi
    case $nameless in *" $peer "*) nameless=${nameless%%" $peer "*}\ ${nameless#*" $peer "} ;; esac
    read -r was at 2>/dev/null <"$RUN_DIR/$tunnel.at.$peer"
    [ "$was" = "$key" ] || at=''
    is_known=$(echo "$addresses" | grep -xF "${at:--}")
    if is_silent "$key"; then look_up_sooner
    elif [ -n "$is_known" ]; then continue
    else since=$(date +%s); fi # it answers, and moves
    # The answer behind the one that wg has, or the first.
    next=$(echo "$addresses" | awk -v at="$at" 'NR == 1 || is_next { next_one = $1; is_next = 0 } $1 == at { is_next = 1 }
      END { print next_one }')
    [ "$next" != "$at" ] || continue
    echo "$key $next" >"$RUN_DIR/$tunnel.at.$peer"
    case $next in *:*) to="[$next]:${endpoint##*:}" ;; *) to=$next:${endpoint##*:} ;; esac
    move "$key" "$to"
    [ -z "$at" ] || say "peer $peer: its endpoint ${endpoint%:*} is $next now"
  done <"$RUN_DIR/$tunnel.peers"
}

restore_endpoints() { # of an interface that is new: the addresses that the names had last
  while read -r peer key endpoint kind; do
    was='' at=''
    read -r was at 2>/dev/null <"$RUN_DIR/$tunnel.at.$peer"
    if [ "$kind" != name ] || [ "$was" != "$key" ]; then continue; fi
    case $at in *:*) at="[$at]" ;; esac
    [ "$(endpoint_of "$key")" != "(none)" ] || wg set "$tunnel" peer "$key" endpoint "$at:${endpoint##*:}"
  done <"$RUN_DIR/$tunnel.peers"
}

check_peers() { # says once who does not answer $ANSWER_WITHIN s after a change, and who no longer does; after observe
  [ $((now - since)) -ge "$ANSWER_WITHIN" ] || return
  while read -r peer at last _; do
    [ -n "$last" ] || continue # the first line, the MTU
    if [ $((now - last)) -le "$MAX_HANDSHAKE_AGE" ]; then
      case $silent in *" $peer "*) silent=${silent%%" $peer "*}\ ${silent#*" $peer "}; say "peer $peer answers" ;; esac
      continue
    fi
    case $silent in *" $peer "*) continue ;; esac
    endpoint=$(awk -v peer="$peer" '$1 == peer && $4 != "none" { print $3 }' "$RUN_DIR/$tunnel.peers")
    [ -n "$endpoint" ] || continue
    silent="$silent$peer "
    [ "$at" != "(none)" ] || at='no address known'
    if [ "$last" = 0 ]; then text="no handshake within $ANSWER_WITHIN s"; else text="no handshake for $MAX_HANDSHAKE_AGE s"; fi
    say "peer $peer does not answer at $endpoint ($at): $text. Is it running, does UDP reach it, and does it know this tunnel's public key and PresharedKey?"
  done <"$UP_DIR/._metrics/$tunnel"
}

# Every five seconds. For metrics.sh: the MTU, then `number endpoint handshake received sent` of each peer. (The dump's first
# line and second field are keys: nothing of them is written.)
observe() {
  seen_bytes=$(wg show "$tunnel" dump 2>/dev/null | awk -F '\t' -v peers="$RUN_DIR/$tunnel.peers" -v link="/sys/class/net/$tunnel/mtu" \
    -v file="$UP_DIR/._metrics/.$tunnel" '
    BEGIN {
      while ((getline line <peers) > 0) { split(line, field, " "); number[field[2]] = field[1] }
      getline mtu <link
      print mtu + 0 >file
    }
    NR > 1 { print number[$1] + 0, $3, $5, $6, $7 >file; received += $6; sent += $7; if ($5 > newest) newest = $5 }
    END {
      if (NR != 2) sent = received = 0 # of several peers one may be idle and well
      printf "%d %.0f %.0f", newest, sent, received
    }')
  mv "$UP_DIR/._metrics/.$tunnel" "$UP_DIR/._metrics/$tunnel"
  newest=${seen_bytes%% *} seen_bytes=${seen_bytes#* }
  count_unanswered "${seen_bytes% *}" "${seen_bytes#* }"
}

# How many looks in a row something was sent and nothing came. A peer that lives answers any packet within 10 s
# (WireGuard's own keepalive). A keepalive of this side has no answer: it goes once in five looks.
count_unanswered() { # SENT RECEIVED, in bytes; sets unanswered
  if [ "$2" != "$received" ] || { [ "$1" = "$sent" ] && [ "$quiet" = yes ]; }; then unanswered=0
  elif [ "$1" != "$sent" ]; then unanswered=$((unanswered + 1)); fi
  if [ "$1" = "$sent" ]; then quiet=yes; else quiet=''; fi
  sent=$1 received=$2
}
