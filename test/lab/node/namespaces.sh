#!/bin/bash
# namespaces.sh FOLDER COMMAND…: PID 1 of the node's own network, mount, PID, UTS and IPC namespaces (main.ts makes them).
# Sets them up, runs COMMAND in them and ends with its exit code; everything else in them ends then too.
#
#   /run, /var/lib/containerd   in memory: its own sockets and locks; images and container layers
#   /var/lib/kubelet …          under FOLDER
#   lan0 172.30.0.2/24          a bridge that plays the node's LAN; there is no way out of it
#   flowgen-node-test           the cgroup (v1, one in each hierarchy) under which all pods are
#
# bash, because it reaps the orphans of other programs while it waits for its own.
set -euo pipefail
folder=$1
shift

hostname node
# A fresh sysfs, for this network namespace, hides the mounts of the cgroups: carry them over.
mkdir -p "$folder/cgroup"
mount --rbind /sys/fs/cgroup "$folder/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$folder/cgroup" /sys/fs/cgroup
umount -l "$folder/cgroup"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /var/lib/containerd
mount -t tmpfs -o mode=711 tmpfs /var/lib/containerd
for directory in /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers /etc/cni/net.d; do
  mkdir -p "$directory" "$folder$directory"
  mount --bind "$folder$directory" "$directory"
done
# The kubelet's settings for the whole machine go to files of its own.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_max{keys,bytes}; do
  mkdir -p "$folder/sysctl/${setting%/*}"
  cat "/proc/sys/$setting" >"$folder/sysctl/$setting"
  mount --bind "$folder/sysctl/$setting" "/proc/sys/$setting"
done
mount --make-rshared / # the kubelet and containerd pass mounts on

for hierarchy in /sys/fs/cgroup/*/; do
  [ "$hierarchy" != /sys/fs/cgroup/unified/ ] || continue
  mkdir -p "$hierarchy/flowgen-node-test"
  for setting in cpuset.cpus cpuset.mems; do # a new cpuset has none
    [ ! -e "$hierarchy/$setting" ] || cat "$hierarchy/$setting" >"$hierarchy/flowgen-node-test/$setting"
  done
done

ip link set lo up
ip link add lan0 type bridge
ip addr add 172.30.0.2/24 dev lan0
ip link set lan0 up
# There is no default route, and without any the node's own processes could not even start a connection to a Service.
ip route add 10.96.0.0/16 dev lan0
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables

"$@" &
command=$!
trap 'kill -TERM $command' TERM INT
set +e
wait "$command"
code=$?
while kill -0 "$command" 2>/dev/null; do # a signal, passed on above, ended the wait and not the command
  wait "$command"
  code=$?
done
exit "$code"
