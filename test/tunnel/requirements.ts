// What the machine must have. A missing piece is an error that names the cure, never a skipped test.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const packageOf: Record<string, string> = {
  busybox: "busybox",
  dash: "dash",
  dnsmasq: "dnsmasq-base",
  inotifywait: "inotify-tools",
  ip: "iproute2",
  iptables: "iptables",
  pg_ctlcluster: "postgresql",
  shellcheck: "shellcheck",
  socat: "socat",
  sysctl: "procps",
  unshare: "util-linux",
  wg: "wireguard-tools",
  "wireguard-go": "wireguard-go",
};

export const checkRequirements = (): void => {
  const missing = Object.entries(packageOf).filter(([command]) => findCommand(command) === undefined);
  const problems = [
    ...(process.getuid?.() === 0 ? [] : ["they need root (network namespaces)"]),
    ...(existsSync("/dev/net/tun") ? [] : ["they need /dev/net/tun"]),
    ...(missing.length === 0
      ? []
      : [`missing Debian packages: ${missing.map(([, name]) => name).join(" ")} (sh test/tunnel/install.sh)`]),
  ];
  if (problems.length > 0) throw new Error(`The tunnel tests cannot run here: ${problems.join("; ")}`);
};

export const findCommand = (command: string): string | undefined =>
  [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"]
    .map((directory) => join(directory, command))
    .find((path) => existsSync(path));
