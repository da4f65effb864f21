// The requirements of a real node. A missing piece is an error that names the cure, never a skipped test.
import { existsSync } from "node:fs";
import { checkRequirements } from "../vpn/requirements.ts";

const packageOf = {
  "/usr/lib/cni/bridge": "containernetworking-plugins",
  containerd: "containerd",
  ctr: "containerd",
  debootstrap: "debootstrap",
  dnsmasq: "dnsmasq-base",
  ip: "iproute2",
  iptables: "iptables",
  pg_ctlcluster: "postgresql",
  runc: "runc",
  sysctl: "procps",
  unshare: "util-linux",
  wg: "wireguard-tools",
  "wireguard-go": "wireguard-go",
};

/** Throws, with all that is missing and how to get it, when there can be no node here. */
export const checkNodeRequirements = (): void => {
  const problems = [
    ...(existsSync("/sys/fs/cgroup/memory")
      ? []
      : ["they need cgroups of version 1 in /sys/fs/cgroup (boot with systemd.unified_cgroup_hierarchy=0)"]),
    ...(existsSync("/proc/sys/net/bridge")
      ? []
      : ["they need the kernel's bridge netfilter (modprobe br_netfilter overlay)"]),
  ];
  checkRequirements({ suite: "node", packageOf, problems });
};
