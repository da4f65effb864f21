/**
 * `npm run bench:tunnel` (as root): what a gateway costs. One WireGuard tunnel (wireguard-go), one PostgreSQL behind it, and
 * five ways to it:
 *
 *   direct      the client is in the gateway's own network: the tunnel and nothing else
 *   routed      the client is another pod, and the gateway's pod routes its packets into the tunnel, without NAT: the tunnel,
 *               and the two hops (pod to node, node to pod) that no forwarder in a pod of its own can do without
 *   documented  the same client; `socat TCP-LISTEN:…,fork,reuseaddr TCP:…`, as flowgen's documentation writes it
 *   socat       the same client; our forward by socat
 *   kernel      the same client; our forward by the kernel (`forwarder: kernel`)
 *
 * So kernel to direct is what a shared gateway costs, and kernel to routed what our rules do. Queries are `pgbench -S`,
 * transactions a second; bulk is one connection that receives zeros, MB a second. The ways take turns, each round begins with
 * another one, and what counts is the median of the rounds' ratios: what the machine does meanwhile concerns all alike.
 */
import { run, startOn, until } from "../tunnel/hosts.ts";
import { startLab } from "../tunnel/lab.ts";
import { clientAddress, podAddress, startDns, type Network } from "../tunnel/network.ts";
import { postgresBin, startPostgres } from "../tunnel/postgres.ts";
import { untilHeard } from "../tunnel/traffic.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const SECONDS = 2;
const CLIENTS = [1, 8, 32] as const;
const GOAL = 0.95;
const TARGET = "10.0.0.5";
const PORTS = { documented: 5431, socat: 5433, kernel: 5432 } as const;
const WAYS = ["direct", "routed", "documented", "socat", "kernel"] as const;
type Way = (typeof WAYS)[number];

const start = async (t: Parameters<typeof startLab>[0]): Promise<Network> => {
  const secret = { dns: "10.0.0.53" };
  const { network, vpn, gateway } = await startLab(t, {
    forwarder: "kernel",
    shell: "dash",
    secret,
    privateAddresses: ["10.0.0.53"],
  });
  await startPostgres(t, vpn.host, TARGET);
  startDns(vpn.host, "10.0.0.53", { "db.corp.example.com": TARGET });
  startOn(vpn.host, ["socat", "-u", "-b", "65536", "OPEN:/dev/zero", `TCP4-LISTEN:7100,bind=${TARGET},fork,reuseaddr`]);
  // A host name is always socat's, so both forwards are there at once.
  gateway.setForwards(
    "7000 10.0.0.5 7000 wg0",
    `${PORTS.kernel} ${TARGET} 5432 wg0`,
    `${PORTS.kernel + 1000} ${TARGET} 7100 wg0`,
    `${PORTS.socat} db.corp.example.com 5432 wg0`,
    `${PORTS.socat + 1000} db.corp.example.com 7100 wg0`,
  );
  await untilHeard(network, 7000, "five");
  await gateway.inForce(PORTS.kernel + 1000);
  await until("the name", async () => (await gateway.log()).includes(`${PORTS.socat + 1000} -> `));
  // What is not bound to the tunnel needs a route: the client beside it, the documented socat, and packets that are routed.
  run(network.pod, `ip rule add to ${TARGET} lookup 10001`);
  run(network.node, `ip route add ${TARGET} via ${podAddress}`);
  run(network.pod, `iptables -I FORWARD -s ${clientAddress} -d ${TARGET} -j ACCEPT`);
  run(network.pod, `iptables -I FORWARD -s ${TARGET} -d ${clientAddress} -j ACCEPT`);
  vpn.setClient(vpn.clientKeys.publicKey, `10.13.13.0/24, ${clientAddress}`);
  run(vpn.host, `ip route add ${clientAddress} dev wg0`);
  for (const [offset, port] of [
    [0, 5432],
    [1000, 7100],
  ] as const)
    startOn(network.pod, ["socat", `TCP-LISTEN:${PORTS.documented + offset},fork,reuseaddr`, `TCP:${TARGET}:${port}`]);
  run(network.pod, `${postgresBin()}/pgbench -q -i -h ${TARGET} -U postgres postgres`);
  return network;
};

/** Where a client by this way is, and what it connects to; `bulk` is added to the gateway's ports for the other server. */
const place = (network: Network, way: Way, server: { readonly port: number; readonly offset: number }) => {
  if (way === "direct") return { host: network.pod, address: TARGET, port: server.port };
  if (way === "routed") return { host: network.client, address: TARGET, port: server.port };
  return { host: network.client, address: podAddress, port: PORTS[way] + server.offset };
};

const transactions = (network: Network, way: Way, clients: number): number => {
  const { host, address, port } = place(network, way, { port: 5432, offset: 0 });
  const options = `-S -n -T ${SECONDS} -c ${clients} -j ${Math.min(clients, 2)}`;
  const output = run(host, `${postgresBin()}/pgbench ${options} -h ${address} -p ${port} -U postgres postgres`);
  return Number(/tps = ([\d.]+)/.exec(output)?.[1]);
};

const megabytes = (network: Network, way: Way): number => {
  const { host, address, port } = place(network, way, { port: 7100, offset: 1000 });
  const received = run(host, `timeout ${SECONDS} socat -u -b 65536 TCP4:${address}:${port} - | wc -c`);
  return Number(received) / SECONDS / 1e6;
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

const bench = (network: Network): void => {
  const rows: readonly [string, (way: Way) => number][] = [
    ...CLIENTS.map((clients): [string, (way: Way) => number] => [
      `${clients} client${clients === 1 ? "" : "s"}, tps`,
      (way) => transactions(network, way, clients),
    ]),
    ["bulk, MB/s", (way) => megabytes(network, way)],
  ];
  console.log(["".padEnd(16), ...WAYS.map((way) => way.padStart(18)), "kernel/routed".padStart(18)].join(""));
  for (const [name, measure] of rows) {
    const rounds = Array.from({ length: ROUNDS }, (_, round) => {
      const turn = [...WAYS.slice(round % WAYS.length), ...WAYS.slice(0, round % WAYS.length)];
      return new Map(turn.map((way) => [way, measure(way)]));
    });
    const ratio = (way: Way, base: Way): string =>
      median(rounds.map((round) => (round.get(way) ?? NaN) / (round.get(base) ?? NaN))).toFixed(2);
    const cells = WAYS.map((way) => {
      const value = median(rounds.map((round) => round.get(way) ?? NaN));
      return `${value.toFixed(0)} (${ratio(way, "direct")})`;
    });
    console.log([name.padEnd(16), ...[...cells, ratio("kernel", "routed")].map((cell) => cell.padStart(18))].join(""));
  }
  console.log(`In brackets: of direct. Goal: kernel ${GOAL} at 8 clients.`);
};

const teardowns: (() => Promise<void>)[] = [];
try {
  bench(await start({ teardown: (handler) => teardowns.unshift(handler) }));
} finally {
  for (const teardown of teardowns) await teardown();
}
