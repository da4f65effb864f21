#!/bin/bash
# second.sh FOLDER: PID 1 of a second node's own network, mount, PID, UTS and IPC namespaces, made on the machine of the
# first one (namespaces.sh). Sets them up under FOLDER or in memory, prints `ready`, and waits. When it is killed the
# whole node dies at once, as a machine without power. Its way to the LAN, eth0, is put in by second.ts.
set -euo pipefail
folder=$1
name=$2

hostname "$name"
mkdir -p "$folder/cgroup"
mount --rbind /sys/fs/cgroup "$folder/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$folder/cgroup" /sys/fs/cgroup
umount -l "$folder/cgroup"
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=711 tmpfs /var/lib/containerd
for directory in /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers /etc/cni/net.d; do
  mkdir -p "$folder$directory"
  mount --bind "$folder$directory" "$directory"
done
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_max{keys,bytes}; do
  mkdir -p "$folder/sysctl/${setting%/*}"
  cat "/proc/sys/$setting" >"$folder/sysctl/$setting"
  mount --bind "$folder/sysctl/$setting" "/proc/sys/$setting"
done
mount --make-rshared /
for hierarchy in /sys/fs/cgroup/*/flowgen-node-test; do
  mkdir -p "$hierarchy/$name"
  for setting in cpuset.cpus cpuset.mems; do
    [ ! -e "$hierarchy/$setting" ] || cat "$hierarchy/$setting" >"$hierarchy/$name/$setting"
  done
done
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo ready
while :; do sleep 3600; done
