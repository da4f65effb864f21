// The network of a test: a node that routes between the gateway's pod, a client's pod on another subnet, and VPN
// servers "on the internet". Everything private is reachable through a tunnel only, and the node counts what leaves the
// pod's own interface for anywhere else.
//
//   client 10.244.2.20 ── node ── pod 10.244.1.10      cluster DNS: 10.96.0.10, on the node
//                          └───── vpn a 192.0.2.10, vpn b 192.0.3.10
import { run, startHost, startOn, stopHost, type Host, type Started } from "./hosts.ts";
import { checkRequirements } from "./requirements.ts";
import { until } from "../../wait.ts";

export type Network = {
  readonly node: Host;
  readonly pod: Host;
  /** The pod's. */
  readonly address: string;
  readonly client: Host;
  readonly addHost: (name: string, subnet: string) => Promise<Host>;
};
type Test = { readonly teardown: (handler: () => Promise<void>) => unknown };

export const podAddress = "10.244.1.10";
export const podAddress6 = "fd00:10:244:1::10";
const clientAddress = "10.244.2.20";
export const clusterDns = "10.96.0.10";
/** Of the Service that service.ts plays; both names resolve as by a cluster's DNS. */
export const serviceAddress = "10.96.0.20";
export const siblingAddress = "10.244.3.10";
/** Of the pod that follows another one. */
export const successorAddress = "10.244.4.10";
const podAddresses = [podAddress, siblingAddress, successorAddress];
/** The hosts that are pods of a gateway. */
const PODS = ["pod", "sibling", "successor"];
const SERVICE = "gw.flowgen-gateway.svc.cluster.local";

export const startNetwork = async (t: Test): Promise<Network> => {
  checkRequirements();
  const hosts: Host[] = [];
  t.teardown(async () => {
    for (const host of hosts.toReversed()) await stopHost(host);
  });
  const add = async (name: string): Promise<Host> => {
    const host = await startHost(name);
    hosts.push(host);
    return host;
  };
  const node = await add("node");
  run(node, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0");
  const addHost = async (name: string, subnet: string): Promise<Host> => {
    const host = await add(name);
    attach(node, host, subnet);
    return host;
  };
  const pod = await addHost("pod", podAddress);
  const client = await addHost("client", clientAddress);
  countLeaks(node);
  await startClusterDns(node, pod);
  return { node, pod, address: podAddress, client, addHost };
};

// 10.244.1.10 gets a veth to the node (10.244.1.1), a default route by it, and fd00:10:244:1::10 the same way.
const attach = (node: Host, host: Host, address: string): void => {
  const [a, b, c] = address.split(".");
  const [gateway, gateway6] = [`${a}.${b}.${c}.1`, `fd00:${a}:${b}:${c}::1`];
  const address6 = gateway6.replace(/1$/, address.split(".")[3] ?? "");
  run(host, "sysctl -qw net.ipv6.conf.default.accept_dad=0");
  run(node, `ip link add ${host.name} type veth peer name eth0 netns ${host.pid}`);
  run(
    node,
    `ip addr add ${gateway}/24 dev ${host.name}; ip -6 addr add ${gateway6}/64 dev ${host.name} nodad; ip link set ${host.name} up`,
  );
  run(host, `ip addr add ${address}/24 dev eth0; ip -6 addr add ${address6}/64 dev eth0 nodad; ip link set eth0 up`);
  run(host, `ip route add default via ${gateway}; ip -6 route add default via ${gateway6}`);
};

// Allowed on the pod's own network: encrypted packets to the VPN servers, answers to clients and to the node's kubelet,
// cluster DNS, neighbour discovery. Everything else is a leak.
const countLeaks = (node: Host): void => {
  const allowed = {
    iptables: [
      "-d 192.0.2.0/23 -p udp --dport 51820",
      "-d 192.0.2.0/23 -p icmp", // port unreachable, once the tunnel's socket is closed
      "-d 10.244.2.0/24",
      ...podAddresses.map((address) => `-d ${address.replace(/\d+$/, "1")} -p tcp --sport 65535`),
      `-d ${clusterDns} -p udp --dport 53`,
      `-d ${serviceAddress} -p tcp --dport 65535`, // its own Service, and its siblings
      ...podAddresses.map((address) => `-d ${address}`),
    ],
    ip6tables: ["-d fd00:10:244:2::/64", "-d fd00:192::/32 -p udp --dport 51820", "-p ipv6-icmp"],
  };
  for (const [tables, rules] of Object.entries(allowed)) {
    const lines = rules.map((rule) => `${tables} -t mangle -A LEAK ${rule} -j RETURN`);
    run(
      node,
      [
        `${tables} -t mangle -N LEAK`,
        ...PODS.map((pod) => `${tables} -t mangle -A PREROUTING -i ${pod} -j LEAK`),
        ...lines,
        `${tables} -t mangle -A LEAK -j MARK --set-mark 1`,
      ].join(" && "),
    );
  }
};

export const leaks = (network: Network): number =>
  ["iptables", "ip6tables"]
    .map((tables) => run(network.node, `${tables} -t mangle -nvxL LEAK | awk '/MARK/ { print $1 }'`))
    .reduce((sum, count) => sum + Number(count), 0);

// The pod's resolver: cluster names and one public name, nothing private.
const startClusterDns = async (node: Host, pod: Host): Promise<void> => {
  run(node, `ip addr add ${clusterDns}/32 dev lo`);
  useClusterDns(pod);
  const names = { "kubernetes.default.svc.cluster.local": "10.96.0.1", "vpn.example.com": "192.0.2.10" };
  const pods = podAddresses.map((address) => `--host-record=gw-pods.${SERVICE.slice(3)},${address}`);
  startDns(node, clusterDns, { ...names, [SERVICE]: serviceAddress }, pods);
  await until("cluster DNS", () => run(pod, `busybox nslookup vpn.example.com || true`).includes("192.0.2.10"));
};

/** As the kubelet lays it out for a pod. */
export const useClusterDns = (pod: Host): void => {
  run(pod, `echo nameserver ${clusterDns} >/run/resolv.conf && mount --bind /run/resolv.conf /etc/resolv.conf`);
};

export const startDns = (
  host: Host,
  address: string,
  names: Record<string, string>,
  more: readonly string[] = [],
): Started => {
  const records = Object.entries(names).map(([name, target]) => `--host-record=${name},${target}`);
  const options = [
    "--no-daemon",
    "--no-resolv",
    "--no-hosts",
    "--bind-interfaces",
    "--user=root",
    "--pid-file=",
    "--local=/#/",
  ];
  return startOn(host, [
    "dnsmasq",
    ...options,
    "--conf-file=/dev/null",
    `--listen-address=${address}`,
    ...records,
    ...more,
  ]);
};
