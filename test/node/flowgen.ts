// flowgen's own program reaches private servers under their own names and ports, with its flows and credential files untouched:
// six tasks on a real node, through the gateway and real WireGuard, by the annotation alone.
import t, { type Test } from "tap";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { firstEvents, type Event } from "../lab/flowgen/events.ts";
import { startPrivateServers } from "../lab/flowgen/on-prem.ts";
import { flowgenObjects, type Task } from "../lab/flowgen/pod.ts";
import { PRIVATE_DNS, SERVERS } from "../lab/flowgen/servers.ts";
import type { Client } from "../lab/node/clients.ts";
import { GATEWAY, tunnelSecret } from "../lab/node/gateway.ts";
import { install } from "../lab/node/installation.ts";
import { startNode } from "../lab/node/node.ts";
import { countLeaks } from "../lab/node/on-prem.ts";
import { documentedSecret } from "../lab/vpn/vpn.ts";
import { seconds } from "./figures.ts";

const flowgen: Client = { namespace: "team-a", name: "flowgen" };
const { api, erp, mongo, nats, sql, db } = SERVERS;
/** By its name where it has one that the tunnel's DNS knows, `erp` by an alias of its address, `nats` by its address in an env. */
const targets = [
  ...[api, mongo, sql, db].map(({ host, port }) => ({ targetHost: host, targetPort: port })),
  { targetHost: erp.address, targetPort: erp.port, aliases: [erp.host] },
  { name: "nats", targetHost: nats.address, targetPort: nats.port },
];

const config = {
  redirect: "auto",
  defaultGateway: GATEWAY.name,
  gateways: [
    {
      ...GATEWAY,
      userspace: true, // the node's kernel has no WireGuard
      tunnels: [
        {
          name: "wg0",
          secretName: "wireguard-client-a",
          allowedTargets: ["10.0.0.0/24", "*.corp.example.com"],
          allowedAliases: [erp.host],
        },
      ],
    },
  ],
};

t.setTimeout(240_000);
const { vpn, ca } = await startPrivateServers(t, "172.30.0.10");
const node = await startNode({ "vpn.example.com": "172.30.0.10" });
t.teardown(node.stop);
const { controlPlane } = node;
const leaks = countLeaks();
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const apply = (manifest: string): Promise<string> => kubectl(["apply", "-f", "-"], manifest);
/** Prints how long each task took, counted from `from`. */
const report = (t: Test, what: string, from: number, events: Readonly<Record<Task, Event>>): void => {
  for (const [task, { at, text }] of Object.entries(events))
    t.comment(`${what}: ${task} ${seconds(at - from)} ${text.replaceAll(/\s+/g, " ").slice(0, 100)}`);
};

await kubectl(["create", "namespace", flowgen.namespace]);
await install(controlPlane, config, []);
await apply(
  tunnelSecret("wireguard-client-a", documentedSecret(vpn, { endpoint: "vpn.example.com:51820", dns: PRIVATE_DNS })),
);
t.test("six tasks have events", async (t) => {
  const begun = Date.now();
  await apply(
    flowgenObjects({
      ...flowgen,
      ca,
      annotations: { "flowgen.io/private-targets": JSON.stringify(targets) },
    }),
  );
  const events = await firstEvents(flowgen, begun, 60_000);
  report(t, "from apply", begun, events);
  t.match(events.api.text, /"name": "api".*10\.0\.0\.5|10\.0\.0\.5.*"name": "api"/s);
  t.match(events.erp.text, /"name": "erp".*10\.0\.0\.6|10\.0\.0\.6.*"name": "erp"/s, "the other server on that port");
  t.match(events.sql.text, /"name": "sql".*10\.0\.0\.9/s);
  t.match(events.nats.text, /"stream": "ORDERS"/);
  t.equal(events.psql.text, db.address);
  t.equal(leaks(), 0, "nothing left by the pods' own network");
});
