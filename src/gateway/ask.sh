#!/bin/sh
# ask.sh NAME [SERVER]: the addresses of a DNS name, one a line, by SERVER or else by the pod's resolver.
#
# A name with a dot in it is asked for with the final dot. So the pod's search domains stay out, where a wildcard would
# answer for every name. AAAA is asked for where there is no A, so that a server that drops AAAA delays no A.
set -u
name=$1 && shift
case $name in *.) ;; *.*) name=$name. ;; esac
for type in a aaaa; do
  # busybox writes "Address: X" or "Address 1: X name", others "Address: X"; before "Name:" it is the server's.
  timeout 5 nslookup -type=$type "$name" "$@" 2>/dev/null </dev/null | awk '
    /^Name:/ { answer = 1 }
    answer && /^Address/ { sub(/^Address( [0-9]+)?:[ \t]*/, ""); if ($1 !~ /[^0-9a-fA-F:.]/) print $1 }
  ' | sort -u | grep . && exit 0
done
exit 1
