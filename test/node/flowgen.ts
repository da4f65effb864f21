// flowgen's own program reaches private servers under their own names and ports, with its flows and credential files untouched:
// six tasks on a real node, through the gateway and real WireGuard. Each server's name leads to a Service of its own.
import t, { type Test } from "tap";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { eventsOf, firstEvents, type Event } from "../lab/flowgen/events.ts";
import { startPrivateServers } from "../lab/flowgen/on-prem.ts";
import { flowgenObjects, type Task } from "../lab/flowgen/pod.ts";
import { PRIVATE_DNS, SERVERS } from "../lab/flowgen/servers.ts";
import type { Client } from "../lab/node/clients.ts";
import { GATEWAY, replacePod, tunnelSecret } from "../lab/node/gateway.ts";
import { install } from "../lab/node/installation.ts";
import { startNode } from "../lab/node/node.ts";
import { countLeaks } from "../lab/node/on-prem.ts";
import { documentedSecret } from "../lab/vpn/vpn.ts";
import { eventually } from "../wait.ts";
import { seconds } from "./figures.ts";

const flowgen: Client = { namespace: "team-a", name: "flowgen" };
const { api, erp, mongo, nats, sql, db } = SERVERS;
/** The gateway's listen port of each server that a name leads to, fixed for the Services that are made by hand here. */
const forwards = [
  { name: "api", port: 20001, targetHost: api.host, targetPort: api.port },
  { name: "erp", port: 20002, targetHost: erp.address, targetPort: erp.port },
  { name: "mongo", port: 20003, targetHost: mongo.host, targetPort: mongo.port },
  { name: "sql", port: 20004, targetHost: sql.host, targetPort: sql.port },
  { name: "db", port: 20005, targetHost: db.host, targetPort: db.port },
] as const;
const names = { api: api.host, erp: erp.host, mongo: mongo.host, sql: sql.host, db: db.host };

const config = {
  defaultGateway: GATEWAY.name,
  gateways: [
    {
      ...GATEWAY,
      tunnels: [
        { name: "wg0", secretName: "wireguard-client-a", allowedTargets: ["10.0.0.0/24"], portForwards: forwards },
      ],
    },
  ],
};

t.setTimeout(400_000);
const { vpn, ca } = await startPrivateServers(t, "172.30.0.10");
const node = await startNode({ "vpn.example.com": "172.30.0.10" });
t.teardown(node.stop);
const { controlPlane } = node;
const leaks = countLeaks();
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const apply = (manifest: string): Promise<string> => kubectl(["apply", "-f", "-"], manifest);
const inGateway = `--namespace=${GATEWAY.namespace}`;

const serviceOf = (name: string, port: number, targetPort: number, clusterIP?: string): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `${GATEWAY.name}-${name}`, namespace: GATEWAY.namespace },
    spec: {
      selector: {
        "app.kubernetes.io/name": "flowgen",
        "app.kubernetes.io/instance": GATEWAY.name,
        "app.kubernetes.io/component": "wireguard-gateway",
      },
      ports: [{ name: "own", port, targetPort }],
      ...(clusterIP !== undefined && { clusterIP }),
    },
  });
const clusterIpOf = (name: string): Promise<string> =>
  kubectl(["get", "service", `${GATEWAY.name}-${name}`, inGateway, "-o", "jsonpath={.spec.clusterIP}"]);

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
for (const { name, port, targetPort } of forwards) await apply(serviceOf(name, targetPort, port));
const hostAliases = await Promise.all(
  forwards.map(async ({ name }) => ({ ip: await clusterIpOf(name), hostnames: [names[name]] })),
);

t.test("six tasks have events", async (t) => {
  const begun = Date.now();
  await apply(
    flowgenObjects({
      ...flowgen,
      ca,
      annotations: { "flowgen.io/private-targets": `nats=${nats.address}:${nats.port}` },
      spec: { hostAliases },
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

// A connection that was begun in the moment between the old pod's address going and kube-proxy's next rules has no answer: Linux
// gives it up after 127 s, and flowgen's mssql_query has no shorter timeout.
const CONNECT_TIMEOUT = 127_000;

t.test("they have events again after the gateway's pod was deleted", async (t) => {
  const begun = Date.now();
  await replacePod(controlPlane, GATEWAY);
  const ready = Date.now();
  t.comment(`the next pod is ready after ${seconds(ready - begun)}`);
  report(t, "from the deletion", begun, await firstEvents(flowgen, ready, CONNECT_TIMEOUT + 30_000));
});

t.test("and after a host's Service was deleted and made again with its address", async (t) => {
  const address = await clusterIpOf("db");
  await kubectl(["delete", "service", `${GATEWAY.name}-db`, inGateway]);
  await eventually("psql, which connects anew each time, has no row any more", 30_000, async () => {
    const last = (await eventsOf(flowgen, 0)).findLast(({ task }) => task === "psql")?.at ?? 0;
    return Date.now() - last > 4_000 || undefined;
  });
  await apply(serviceOf("db", db.port, 20005, address));
  const begun = Date.now();
  const { psql } = await firstEvents(flowgen, begun, 60_000);
  t.comment(`from the Service: psql ${seconds(psql.at - begun)}`);
});
