// flowgen's own program reaches private servers under their own names and ports, with unchanged flows and credential
// files. Six tasks run on a real node, through the gateway and real WireGuard, by the annotation alone. They go on
// after the gateway's pod was deleted, and after the Service of a host was.
import t, { type Test } from "tap";
import { readTargets } from "../../src/core/annotation.ts";
import { readPage } from "../readme-blocks.ts";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { firstEvents, type Event } from "../lab/flowgen/events.ts";
import { startPrivateServers } from "../lab/flowgen/on-prem.ts";
import { flowgenObjects, type Task } from "../lab/flowgen/pod.ts";
import { PRIVATE_DNS, SERVERS } from "../lab/flowgen/servers.ts";
import type { Client } from "../lab/node/clients.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { flowgenPod } from "../lab/control-plane/scene.ts";
import { NODE_GATEWAY, podsOf, readyCondition, replacePod, tunnelSecret } from "../lab/node/gateway.ts";
import { installChart } from "../lab/node/installation.ts";
import { startNode } from "../lab/node/node.ts";
import { countLeaks } from "../lab/node/on-prem.ts";
import { documentedSecret } from "../lab/vpn/vpn.ts";
import { seconds } from "./figures.ts";

const flowgen: Client = { namespace: "team-a", name: "flowgen" };
const { api, erp, mongo, nats, sql, db } = SERVERS;
/**
 * Servers with a name in the tunnel's DNS are reached by that name. `erp` is reached by an alias of its address, and
 * `nats` by its address in an env.
 */
const targets = [
  ...[api, mongo, sql, db].map(({ host, port }) => ({ targetHost: host, targetPort: port })),
  { targetHost: erp.address, targetPort: erp.port, aliases: [erp.host] },
  { name: "nats", targetHost: nats.address, targetPort: nats.port },
];

const config = {
  redirect: "auto",
  defaultGateway: NODE_GATEWAY.name,
  gateways: [
    {
      ...NODE_GATEWAY,
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

t.setTimeout(280_000);
const { vpn, ca } = await startPrivateServers(t, "172.30.0.10");
const node = await startNode({ "vpn.example.com": "172.30.0.10" });
t.teardown(node.stop);
const { controlPlane } = node;
const leaks = countLeaks();
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const apply = (manifest: string): Promise<string> => kubectl(["apply", "-f", "-"], manifest);
/** The first event of each task from a moment on; prints how long each took. Returns when the last of them came. */
const eventsFrom = async (
  t: Test,
  what: string,
  from: number,
): Promise<{ events: Readonly<Record<Task, Event>>; last: number }> => {
  const events = await firstEvents(flowgen, from, 60_000);
  for (const [task, { at, text }] of Object.entries(events))
    t.comment(`${what}: ${task} ${seconds(at - from)} ${text.replaceAll(/\s+/g, " ").slice(0, 100)}`);
  return { events, last: Math.max(...Object.values(events).map(({ at }) => at)) };
};
/** A busy machine is slower than the goal, a broken gateway much slower. */
const isNear = (t: Test, what: string, milliseconds: number, goal: number): void => {
  t.ok(milliseconds <= PATIENCE * goal * 1000, `${what}: ${seconds(milliseconds)}, the goal is ${goal} s`);
};
const PATIENCE = 4;

await kubectl(["create", "namespace", flowgen.namespace]);
await installChart(controlPlane, config, []);
await apply(
  tunnelSecret("wireguard-client-a", documentedSecret(vpn, { endpoint: "vpn.example.com:51820", dns: PRIVATE_DNS })),
);
t.test("the README's example is among what flowgen is run with here", async (t) => {
  const [, text = ""] = /^flowgen\.io\/private-targets: "(.*)"$/m.exec(readPage("README.md")) ?? [];
  const read = readTargets(text);
  if (read.kind === "reject") throw new Error(read.message);
  t.strictSame(
    read.targets.map(({ host, port }) => ({ host, port })),
    [sql, api].map(({ host, port }) => ({ host, port })),
  );
});

t.test("six tasks have events", async (t) => {
  const begun = Date.now();
  await apply(
    flowgenObjects({
      ...flowgen,
      ca,
      annotations: { "flowgen.io/private-targets": JSON.stringify(targets) },
    }),
  );
  const { events, last } = await eventsFrom(t, "from apply", begun);
  const [gateway] = await podsOf(controlPlane, NODE_GATEWAY);
  const ready = Date.parse((gateway && readyCondition(gateway)?.lastTransitionTime) ?? "");
  isNear(t, "first events, from apply", last - begun, 15);
  isNear(t, "first events, from the gateway's readiness", last - ready, 5);
  t.match(events.api.text, /"name": "api".*10\.0\.0\.5|10\.0\.0\.5.*"name": "api"/s);
  t.match(events.erp.text, /"name": "erp".*10\.0\.0\.6|10\.0\.0\.6.*"name": "erp"/s, "the other server on that port");
  t.match(events.sql.text, /"name": "sql".*10\.0\.0\.9/s);
  t.match(events.nats.text, /"stream": "ORDERS"/);
  t.equal(events.psql.text, db.address);
  t.equal(leaks(), 0, "nothing left by the pods' own network");
});

t.test("the gateway's pod is deleted: each task has events through the next one, by itself", async (t) => {
  await replacePod(controlPlane, NODE_GATEWAY);
  const ready = Date.now();
  const { last } = await eventsFrom(t, "from the next pod's readiness", ready);
  isNear(t, "each task goes on", last - ready, 5);
  t.equal(leaks(), 0, "nothing left by the pods' own network");
});

t.test(
  "a host's Service is deleted by hand: the next admission makes it again, and running pods reach it",
  async (t) => {
    const inGateway = `--namespace=${NODE_GATEWAY.namespace}`;
    const asBreaker = await breakGlass(kubectl, NODE_GATEWAY.namespace);
    const addressOf = async (name: string): Promise<string> =>
      kubectl(["get", "service", name, inGateway, "--ignore-not-found", "-o", "jsonpath={.spec.clusterIP}"]);
    const services = await kubectl(["get", "services", inGateway, "-o", "name"]);
    const service = /^service\/(\S+-orders-corp-example-com-\S+)$/m.exec(services)?.[1] ?? "";
    const before = await addressOf(service);
    await kubectl(["delete", "service", service, inGateway, asBreaker]);
    const another = flowgenPod(flowgen.namespace, "another", { "flowgen.io/private-targets": "other=10.0.0.11:5432" });
    await apply(JSON.stringify(another));
    t.match(await addressOf(service), /^10\./);
    t.equal(await addressOf(service), before, "with the address that the running pod holds");
    await eventsFrom(t, "from the next admission", Date.now());
    t.equal(leaks(), 0, "nothing left by the pods' own network");
  },
);
