// The machine's requirements. A missing piece is an error that names the cure, never a skipped test.
import { existsSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

export type Needs = {
  /** The suite that needs them: test/<suite>/install.sh installs the missing ones. */
  readonly suite: string;
  /** The Debian package of each command or file. */
  readonly packageOf: Readonly<Record<string, string>>;
  /** Other missing things. */
  readonly problems?: readonly string[];
};

const tunnelPackages: Readonly<Record<string, string>> = {
  busybox: "busybox",
  bzip2: "bzip2",
  dash: "dash",
  dnsmasq: "dnsmasq-base",
  gcc: "gcc",
  ip: "iproute2",
  iptables: "iptables",
  make: "make",
  "musl-gcc": "musl-tools",
  pg_ctlcluster: "postgresql",
  shellcheck: "shellcheck",
  socat: "socat",
  sysctl: "procps",
  unshare: "util-linux",
  wg: "wireguard-tools",
  "wireguard-go": "wireguard-go",
};

/** Throws when a suite cannot run here, with all that is missing and how to get it. */
export const checkRequirements = (needs: Needs = { suite: "tunnel", packageOf: tunnelPackages }): void => {
  const { suite, packageOf, problems = [] } = needs;
  const missing = Object.entries(packageOf).filter(([command]) => findCommand(command) === undefined);
  const packages = [...new Set(missing.map(([, name]) => name))].join(" ");
  const all = [
    ...(process.getuid?.() === 0 ? [] : ["they need root (network namespaces)"]),
    ...(existsSync("/dev/net/tun") ? [] : ["they need /dev/net/tun"]),
    ...problems,
    ...(missing.length === 0
      ? []
      : [`missing Debian packages: ${packages} (sh test/${suite === "node" ? "lab/node" : "lab/vpn"}/install.sh)`]),
  ];
  if (all.length > 0) throw new Error(`The ${suite} tests cannot run here: ${all.join("; ")}`);
};

export const findCommand = (command: string): string | undefined =>
  [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"]
    .map((directory) => (isAbsolute(command) ? command : join(directory, command)))
    .find((path) => existsSync(path));
