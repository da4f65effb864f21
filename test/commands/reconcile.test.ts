import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import t from "tap";
import { reconcile, runReconcile } from "../../src/commands/upkeep/reconcile.ts";
import { type KubeObject, refOf } from "../../src/cluster/cluster.ts";
import { readTable } from "../../src/core/forwards/format.ts";
import type { Table } from "../../src/core/forwards/table.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import { configOf, gatewayOf, wantOf } from "../making.ts";

const configText = (mode: string): string =>
  `{mode: ${mode}, gateways: [{name: gw, namespace: vpn, retain: 1h, tunnels: [{name: wg0, secretName: key, allowedTargets: [10.0.0.0/8]}]}]}`;
const config = configOf(configText("enforce"));
const HOUR = 3_600_000;
const soon = (): AbortSignal => AbortSignal.timeout(5000);

/** A gateway with three forwards, one of them at its host's own Service, and a pod that uses the first. */
const setUp = async (more: Parameters<typeof createMemoryCluster>[0] = {}) => {
  let now = Date.parse("2026-01-01T00:00:00Z");
  const cluster = createMemoryCluster({ ...more, now: () => now });
  const provision = createProvisioner(cluster, { scripts: loadScripts() });
  const wants = [wantOf("a", "10.0.0.5", 1433), wantOf("b", "10.0.0.6", 1433), wantOf("c", "10.0.0.7", 80)];
  await provision({ config, gateway: gatewayOf(config), wants, write: true, signal: soon });
  await cluster.create(pod("uses-a", { "flowgen.io/gateway": "gw", "target.flowgen.io/a": "true" }), soon());
  return {
    cluster,
    passTime: (ms: number) => (now += ms),
    run: async (options: { dryRun?: boolean; pushGateway?: string } = {}, using = config) => {
      let [out, err] = ["", ""];
      const output = { out: (part: string) => (out += part), err: (part: string) => (err += part) };
      const code = await runReconcile(
        { dryRun: false, ...options },
        { config: using, cluster, output, now: () => now },
      );
      return { code, out, err };
    },
  };
};
const pod = (
  name: string,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "team-a", labels, annotations },
});
const tableIn = (cluster: MemoryCluster): Table => {
  const object = cluster.all().find(({ metadata }) => metadata.name === "gw-forwards");
  const read = readTable((object?.["data"] as Record<string, string>)["table.json"] ?? "", "table");
  if (read.kind !== "table") throw new Error(JSON.stringify(read));
  return read.table;
};
const namesIn = (cluster: MemoryCluster) => tableIn(cluster).forwards.map(({ name }) => name);
const services = (cluster: MemoryCluster) =>
  cluster.all().flatMap(({ kind, metadata }) => (kind === "Service" ? [metadata.name] : []));
const versions = (cluster: MemoryCluster) =>
  cluster.all().map((object) => `${JSON.stringify(refOf(object))} ${object.metadata.resourceVersion ?? ""}`);

t.test("an unused forward is marked, removed after retain, and its Service deleted", async (t) => {
  const { cluster, passTime, run } = await setUp();
  const first = await run();
  t.match(first, {
    code: 0,
    out: /vpn\/gw: no pod uses b \(10\.0\.0\.6:1433 through wg0\): marked, and removed after 3600 s/,
  });
  t.match(first.err, /^1 gateways, 3 forwards, 2 marked, 0 removed, 0 findings; 1 pods read\n$/);
  passTime(HOUR - 1000);
  t.match(await run(), { code: 0, out: "", err: /0 marked, 0 removed/ });
  t.strictSame(namesIn(cluster), ["a", "b", "c"]);
  await cluster.create(
    pod(
      "uses-c",
      {},
      {
        "flowgen.io/gateway-status": JSON.stringify({
          format: 2,
          targets: { c: { target: "10.0.0.7:80", address: "gw.vpn.svc:80" } },
        }),
      },
    ),
    soon(),
  );
  cluster.edit("x", { kind: "Pod", namespace: "team-a", name: "uses-c" }, (made) => ({
    ...made,
    metadata: { ...made.metadata, labels: { "app.kubernetes.io/name": "flowgen" } },
  }));
  passTime(2000);
  const last = await run();
  t.match(last, { code: 0, out: /removed b \(10\.0\.0\.6:1433 through wg0\), unused since 2026-01-01T00:00:00\.000Z/ });
  t.match(last.out, /pods use c \(10\.0\.0\.7:80 through wg0\) again: no longer marked/);
  t.match(last.out, /deleted the Service gw-10-0-0-6-[0-9a-f]+, whose host has no forward/);
  t.strictSame(namesIn(cluster), ["a", "c"]);
  t.strictSame(services(cluster), ["gw"]);
  t.strictSame(tableIn(cluster).services, []);
});

t.test("a dry run and mode audit say the same and write nothing", async (t) => {
  const { cluster, passTime, run } = await setUp();
  await run();
  passTime(HOUR + 1000);
  const before = versions(cluster);
  for (const ran of [await run({ dryRun: true }), await run({}, configOf(configText("audit")))]) {
    t.match(ran, { code: 0, out: /would do: vpn\/gw: removed b /, err: /^nothing was written: 1 gateways/ });
    t.match(ran.out, /would do: vpn\/gw: deleted the Service gw-10-0-0-6-/);
    t.strictSame(versions(cluster), before);
  }
});

t.test("findings: in the output, as Events and as figures", async (t) => {
  const { cluster, run } = await setUp();
  const found = cluster.all().find(({ kind }) => kind === "Deployment") as KubeObject;
  const { labels } = found.metadata;
  const orphan = { ...found, metadata: { name: "old", namespace: "vpn", labels } } as unknown as KubeObject;
  await cluster.create(orphan, soon());
  await cluster.create(
    pod("direct", { "app.kubernetes.io/name": "flowgen" }, { "flowgen.io/private-targets": "a=10.0.0.5:1433" }),
    soon(),
  );
  const pushed: string[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      pushed.push(`${request.method ?? ""} ${request.url ?? ""}\n${body}`);
      response.writeHead(202).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const pushGateway = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { code, out } = await run({ pushGateway });
  t.equal(code, 0, "a finding is no failure");
  t.match(out, /orphan: Deployment vpn\/old: the config knows no such gateway/);
  t.match(out, /identity-twice: Deployment vpn\/gw: mounts the Secret vpn\/key, as old does/);
  t.match(out, /unredirected: Pod team-a\/direct: asks for private targets and was not redirected/);
  const events = cluster.all().filter(({ kind }) => kind === "Event");
  t.strictSame(events.map((event) => event["reason"]).sort(), [
    "GatewayOrphan",
    "IdentityHeldTwice",
    "IdentityHeldTwice",
    "NotRedirected",
  ]);
  t.match(pushed[0], /^PUT|POST \/metrics\/job\/flowgen-gateway-webhook-reconcile/);
  t.match(pushed[0], /flowgen_gateway_findings\{reason="unredirected"\} 1\n/);
  t.match(pushed[0], /flowgen_gateway_findings\{reason="not-kept"\} 0\n/);
  t.match(pushed[0], /flowgen_gateway_forwards_unused\{gateway="vpn\/gw"\} 2\n/);
  t.match(pushed[0], /flowgen_gateway_reconcile_timestamp_seconds 1767225600\n/);
  await t.rejects(
    run({ pushGateway: "http://127.0.0.1:1" }),
    /--push-gateway http:\/\/127\.0\.0\.1:1: .*name a Pushgateway that answers/,
  );
});

t.test("the pods that hold a cluster IP which another Service took are named", async (t) => {
  const { cluster, run } = await setUp();
  const [service] = tableIn(cluster).services;
  const led = (name: string, ips: readonly string[] = []) => {
    const target = { target: "10.0.0.6:1433", address: `${service?.name ?? ""}.vpn.svc:1433`, ips };
    return pod(name, {}, { "flowgen.io/gateway-status": JSON.stringify({ format: 2, targets: { b: target } }) });
  };
  const labelled = { "app.kubernetes.io/name": "flowgen" };
  for (const each of [led("present", service?.clusterIPs), led("stranded", ["10.96.9.9"])])
    await cluster.create({ ...each, metadata: { ...each.metadata, labels: labelled } }, soon());
  const { code, out } = await run();
  t.equal(code, 0);
  t.match(out, /^address-lost: Pod team-a\/stranded: its hostAliases map 10\.0\.0\.6 to an address that is not gw-/m);
  t.notMatch(out, /Pod team-a\/present/);
  t.match(
    cluster.all().find(({ kind }) => kind === "Event"),
    { reason: "AddressLost", involvedObject: { kind: "Pod", name: "stranded" } },
  );
});

t.test("nothing is marked while a pod's status cannot be read", async (t) => {
  const { cluster, run } = await setUp();
  await cluster.create(
    pod("newer", { "flowgen.io/gateway": "gw" }, { "flowgen.io/gateway-status": '{"format":3}' }),
    soon(),
  );
  const { out, err } = await run();
  t.match(out, /format-newer: Pod team-a\/newer: a newer version wrote its status/);
  t.match(err, /0 marked, 0 removed/);
});

t.test("a gateway that cannot be reconciled is reported, and the exit code is 1", async (t) => {
  const { cluster, run } = await setUp();
  cluster.edit("x", { kind: "ConfigMap", namespace: "vpn", name: "gw-forwards" }, (made) => ({ ...made, data: {} }));
  t.match(await run(), { code: 1, out: /not-kept: Deployment vpn\/gw: table-invalid: ConfigMap vpn\/gw-forwards/ });
  t.match(await run({ dryRun: true }), { code: 1 });
});

t.test("a gateway that no pod asked for yet is not made", async (t) => {
  const cluster = createMemoryCluster();
  const silent = { out: () => undefined, err: () => undefined };
  t.equal(await runReconcile({ dryRun: false }, { config, cluster, output: silent, now: Date.now }), 0);
  t.strictSame(cluster.all(), []);
});

t.test("the command reads its config and its cluster", async (t) => {
  const folder = t.testdir({ "config.yaml": configText("enforce") });
  let err = "";
  const output = { out: () => undefined, err: (part: string) => (err += part) };
  t.equal(await reconcile({ config: `${folder}/config.yaml`, cluster: "memory", dryRun: false }, output), 0);
  t.match(err, /^1 gateways, 0 forwards/);
  await t.rejects(
    reconcile({ config: "/nowhere", cluster: "memory", dryRun: false }, output),
    /cannot read the config \/nowhere/,
  );
});
