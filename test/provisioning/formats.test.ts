// Upgrade and way back: tables that earlier versions wrote, in test/fixtures/formats.
import { readFileSync } from "node:fs";
import t from "tap";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { readTable, TABLE_FORMAT, writeTable } from "../../src/core/forwards/format.ts";
import type { Table } from "../../src/core/forwards/table.ts";
import { tableName } from "../../src/core/gateway/manifests.ts";
import { MANAGED_BY, MANAGER } from "../../src/core/names.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { formerReads } from "../core/forwards/former-reader.ts";
import { configOf, gatewayOf, scripts, wantOf } from "../making.ts";

const text = (name: string): string =>
  readFileSync(new URL(`../fixtures/formats/${name}.json`, import.meta.url), "utf8");
const tableOf = (json: string): Table => {
  const read = readTable(json, "x");
  if (read.kind !== "table") throw new Error(JSON.stringify(read));
  return read.table;
};
const gatewayWith = (where: string) =>
  configOf(
    `gateways: [{${where}tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8], portForwards: [{name: static, port: 2000, targetHost: 10.0.0.9, targetPort: 2000}]}]}]`,
  );
const config = gatewayWith("namespace: flowgen-gateway, ");
const { signal } = new AbortController();

/** A cluster in which an earlier version left a table, and a process of this version. */
const upgraded = async (json: string, using = config) => {
  const gateway = gatewayOf(using);
  const cluster = createMemoryCluster();
  const metadata = { name: tableName(gateway), namespace: gateway.namespace, labels: { [MANAGED_BY]: MANAGER } };
  await cluster.create({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { "table.json": json } }, signal);
  const provision = createProvisioner(cluster, { scripts });
  return {
    cluster,
    ask: (name: string, host: string, namespace = "team-a") =>
      provision({
        config: using,
        gateway,
        wants: [wantOf(name, host, 1433, { namespace })],
        write: true,
        signal: () => signal,
      }),
  };
};
const stored = (cluster: MemoryCluster): string => {
  const object = cluster
    .all()
    .find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name?.endsWith("-forwards"));
  return (object?.["data"] as Record<string, string>)["table.json"] ?? "";
};
const ports = ({ forwards }: Table): readonly string[] =>
  forwards.map(({ targetHost, listenPort, servicePort }) => `${targetHost} ${listenPort} ${servicePort ?? "-"}`);

t.test("the former version reads what it wrote itself, and not format 2", async (t) => {
  t.equal(formerReads(text("table-1")), true);
  t.equal(formerReads(text("table-2")), false);
});

t.test("upgrade: every forward of format 1 keeps its ports", async (t) => {
  const { cluster, ask } = await upgraded(text("table-1"));
  const before = ports(tableOf(text("table-1")));
  t.match(await ask("mssql", "10.0.0.5"), { assignments: [{ host: "flowgen-wireguard-gateway.flowgen-gateway.svc" }] });
  t.strictSame(ports(tableOf(stored(cluster))), before);
  t.match(await ask("mssql-2", "10.0.0.6"), { kind: "assigned" }, "one that was marked as unused");
  const after = tableOf(stored(cluster));
  t.strictSame(ports(after), before);
  t.match(after.services, [{ host: "10.0.0.6" }], "new pods get the target's own port, at its host's Service");
  t.match(JSON.parse(stored(cluster)), { version: TABLE_FORMAT });
});

t.test("a gateway whose table needs nothing of format 2 stays with format 1", async (t) => {
  const own = gatewayWith("");
  const { cluster, ask } = await upgraded(text("table-1"), own);
  t.match(await ask("mssql", "10.0.0.5", "flowgen-gateway"), { kind: "assigned" });
  t.match(await ask("other", "10.0.0.7", "flowgen-gateway"), { kind: "assigned" });
  t.equal(formerReads(stored(cluster)), false, "a host's Service is format 2");
  const first = await upgraded(text("table-1"), own);
  await first.ask("mssql", "10.0.0.5", "flowgen-gateway");
  t.equal(formerReads(stored(first.cluster)), true);
});

t.test(
  "the way back of docs/migration.md: the former version reads a table without the parts of format 2",
  async (t) => {
    const { forwards } = tableOf(text("table-2"));
    const kept = forwards.flatMap(({ namespaces: _, ...rest }) => (rest.servicePort === undefined ? [] : [rest]));
    const json = writeTable({ forwards: kept, services: [] }, () => true)["table.json"];
    t.equal(formerReads(json), true);
    t.match(tableOf(json).forwards, [{ targetHost: "10.0.0.5", listenPort: 1433 }]);
    const { cluster, ask } = await upgraded(json);
    t.match(await ask("mssql", "10.0.0.5"), { kind: "assigned" }, "and the upgrade is possible again");
    t.match(tableOf(stored(cluster)).forwards[0], { listenPort: 1433, namespaces: ["team-a"] });
  },
);

t.test("a format that is newer than this version's is a failure, and the table stays", async (t) => {
  const newer = text("table-2").replace('"version":2', `"version":${TABLE_FORMAT + 1}`);
  const { cluster, ask } = await upgraded(newer);
  t.match(await ask("mssql", "10.0.0.5"), { kind: "fail", reason: "format-newer" });
  t.equal(stored(cluster), newer);
});
