// The other end: VPN servers on the node's LAN, each a host of its own (test/tunnel). The private servers behind one
// are reached through its tunnel only.
import { execFileSync } from "node:child_process";
import { makeServingCertificate } from "../../../src/certificates/issue.ts";
import { run, startHost, stopHost } from "../vpn/hosts.ts";
import type { Host } from "../vpn/hosts.ts";
import { startPostgres } from "../vpn/postgres.ts";
import { startVpn } from "../vpn/vpn.ts";
import type { Vpn } from "../vpn/vpn.ts";

type Test = { readonly teardown: (handler: () => Promise<void>) => unknown };

/** A VPN server at this address of the LAN, whose host has the private addresses. */
export const startVpnOnLan = (t: Test, lanAddress: string, privateAddresses: readonly string[]): Promise<Vpn> =>
  startVpn(
    { addHost: (name, address) => hostOnLan(t, name, address) },
    `onprem${lanAddress.split(".").at(-1)}`,
    lanAddress,
    privateAddresses,
  );

/** The same, and a PostgreSQL that speaks TLS only at each of the private addresses. */
export const startOnPrem = async (t: Test, lanAddress: string, privateAddresses: readonly string[]): Promise<Vpn> => {
  const vpn = await startVpnOnLan(t, lanAddress, privateAddresses);
  const { cert, key } = await makeServingCertificate(["db.corp.example.com"], 1, new Date());
  await startPostgres(t, vpn.host, privateAddresses.join(","), { cert, key });
  return vpn;
};

const hostOnLan = async (t: Test, name: string, address: string): Promise<Host> => {
  const host = await startHost(name);
  t.teardown(() => stopHost(host));
  execFileSync("ip", ["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", String(host.pid)]);
  execFileSync("ip", ["link", "set", name, "master", "lan0", "up"]);
  run(host, `ip addr add ${address}/24 dev eth0; ip link set eth0 up`);
  return host;
};

const PRIVATE = "10.0.0.0/16";

/** Counts from now on the packets that pods send to private addresses by their own network. */
export const countLeaks = (): (() => number) => {
  const iptables = (...args: readonly string[]): string =>
    execFileSync("iptables", ["-w", "-t", "mangle", ...args], { encoding: "utf8" });
  iptables("-N", "LEAKS");
  iptables("-A", "PREROUTING", "-i", "cni0", "-d", PRIVATE, "-j", "LEAKS");
  iptables("-A", "LEAKS", "-j", "RETURN");
  return () => Number(/^\s*(\d+)/m.exec(iptables("-nvxL", "LEAKS").split("\n")[2] ?? "")?.[1]);
};
