#!/bin/sh
# kernel-release.sh: says, where it is so, that this kernel binds a socket to a device with CAP_NET_RAW only. The socat
# container has no capability, and Linux 5.7 was the first to let it (c427bfec18f2).
: "${RELEASE_FILE:=/proc/sys/kernel/osrelease}"
IFS=. read -r major minor _ <"$RELEASE_FILE"
[ $((major * 1000 + ${minor%%[!0-9]*})) -ge 5007 ] ||
  echo "Linux $major.$minor binds a device with NET_RAW only, 5.7 and newer without it (socat.securityContext adds it)"
