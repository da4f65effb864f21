import t, { type Test } from "tap";
import { parse } from "yaml";
import { adopt, adoptGateway } from "../../src/commands/upkeep/adopt.ts";
import { type KubeObject, refOf } from "../../src/cluster/cluster.ts";
import { isHeldByOthers } from "../../src/cluster/managed-fields.ts";
import { readConfig } from "../../src/core/config/config.ts";
import { createMemoryCluster, type MemoryCluster, type MemoryOptions } from "../../src/emulator/memory.ts";
import { fault } from "../../src/emulator/store.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import { chartGateway } from "../lab/flowgen/chart-gateway.ts";
import { configOf, gatewayOf, wantOf } from "../making.ts";

const forwards = [
  { name: "mssql", port: 1433, targetHost: "10.0.0.5", targetPort: 1433 },
  { name: "postgres", port: 5432, targetHost: "10.0.0.6", targetPort: 5432, servicePort: 15432 },
];
const wish = { namespace: "team-a", release: "flowgen", secretName: "wireguard-client-a", forwards };
const place = { namespace: "team-a", name: "flowgen-wireguard-gateway" };
const configText = (more = ""): string => `
gateways:
  - name: ${place.name}
    namespace: ${place.namespace}
    tunnels:
      - name: wg0
        secretName: wireguard-client-a
        portForwards:
          - {name: mssql, port: 1433, targetHost: 10.0.0.5, targetPort: 1433}
          - {name: postgres, port: 5432, targetHost: 10.0.0.6, targetPort: 5432, servicePort: 15432}
${more}`;
const config = configOf(configText());
const soon = (): AbortSignal => AbortSignal.timeout(5000);

/** A cluster with the chart's gateway and its pod; scaled to 0, its pods end as a controller would have it. */
const withChart = async (more: MemoryOptions = {}, wished = wish): Promise<MemoryCluster> => {
  const [deployment, service] = chartGateway(wished);
  const cluster: MemoryCluster = createMemoryCluster({
    ...more,
    after: (call) => {
      if (call.verb === "update" && (call.object?.["spec"] as { replicas?: number }).replicas === 0)
        cluster.remove({ kind: "Pod", namespace: "team-a", name: "old" });
      return more.after?.(call);
    },
  });
  await cluster.create(deployment, soon());
  await cluster.create(service, soon());
  const { template } = deployment["spec"] as { template: { metadata: object; spec: object } };
  const metadata = { ...template.metadata, name: "old", namespace: "team-a", finalizers: ["kubelet/ends"] };
  await cluster.create({ apiVersion: "v1", kind: "Pod", metadata, spec: template.spec }, soon());
  return cluster;
};
const ran = async (
  cluster: MemoryCluster,
  options: { dryRun?: boolean; waitSeconds?: number } = {},
  using = config,
) => {
  let [out, err] = ["", ""];
  const output = { out: (part: string) => (out += part), err: (part: string) => (err += part) };
  const code = await adoptGateway(
    place,
    { dryRun: false, waitSeconds: 0, ...options },
    { cluster, config: using, output },
  );
  return { code, out, err };
};
const read = (cluster: MemoryCluster, kind: KubeObject["kind"], name: string = place.name): KubeObject | undefined =>
  cluster.all().find((object) => object.kind === kind && object.metadata.name === name);
const versions = (cluster: MemoryCluster) =>
  cluster.all().map((object) => `${JSON.stringify(refOf(object))} ${object.metadata.resourceVersion ?? ""}`);

/** The Service keeps its address and ports, the Deployment is the webhook's, the table has the forwards. */
const isAdopted = (t: Test, cluster: MemoryCluster, address: unknown): void => {
  const service = read(cluster, "Service");
  t.match(service, {
    metadata: { labels: { "app.kubernetes.io/managed-by": "flowgen-gateway-webhook" } },
    spec: {
      clusterIP: address,
      selector: { "app.kubernetes.io/instance": place.name },
      ports: [
        { name: "mssql", port: 1433 },
        { name: "postgres", port: 15432 },
      ],
    },
  });
  t.match(read(cluster, "Deployment"), {
    metadata: { annotations: { "helm.sh/resource-policy": "keep" } },
    spec: { replicas: 1, selector: { matchLabels: { "app.kubernetes.io/instance": place.name } } },
  });
  t.match(read(cluster, "ConfigMap", `${place.name}-forwards`)?.["data"], {
    forwards: "1433 10.0.0.5 1433 wg0\n5432 10.0.0.6 5432 wg0\n",
  });
  for (const object of cluster.all().filter(({ kind }) => ["Service", "Deployment", "ConfigMap"].includes(kind)))
    t.notOk(isHeldByOthers(object), object.kind);
};
const addressOf = (cluster: MemoryCluster): unknown =>
  (read(cluster, "Service")?.["spec"] as { clusterIP?: string }).clusterIP;

t.test(
  "a dry run prints the steps and writes nothing; the run makes them; a second one has nothing to do",
  async (t) => {
    const cluster = await withChart();
    const before = versions(cluster);
    const dry = await ran(cluster, { dryRun: true });
    t.equal(dry.code, 0, dry.err);
    t.match(dry.out.split("\n"), [
      "would write the forward table with the static forwards of the config",
      `would take over Service team-a/${place.name}`,
      /^would end the pods of Deployment team-a\/flowgen-wireguard-gateway and make the gateway's in its place/,
      "then change the values of the release flowgen in team-a, which deletes nothing that was taken over:",
      "wireguardGateway:",
      "  enabled: false",
    ]);
    t.strictSame(versions(cluster), before);
    const address = addressOf(cluster);
    const { code, out, err } = await ran(cluster);
    t.equal(code, 0, err);
    t.match(out, /^done: write the forward table.*\ndone: take over Service.*\ndone: end the pods of Deployment/);
    isAdopted(t, cluster, address);
    t.notOk(read(cluster, "Pod", "old")?.metadata["deletionTimestamp"] === undefined, "the former pod ends");
    const after = versions(cluster);
    t.match(await ran(cluster, { dryRun: true }), { code: 0, err: "nothing is to be taken over\n" });
    t.match(await ran(cluster), { code: 0 });
    t.strictSame(versions(cluster), after);
  },
);

t.test("stopped after any call, a second run comes to the same end", async (t) => {
  for (let stopAt = 1, isOver = false; !isOver; stopAt += 1) {
    let writes = 0;
    let isStopped = true;
    const cluster = await withChart({
      before: (call) => {
        if (["get", "list", "create"].includes(call.verb)) return undefined;
        writes += 1;
        if (isStopped && writes === stopAt) throw fault(call, 403, "Forbidden", "stopped");
        return undefined;
      },
    });
    const address = addressOf(cluster);
    const first = await ran(cluster).then(
      ({ code }) => code,
      () => "stopped",
    );
    isOver = first === 0;
    isStopped = false;
    t.match(await ran(cluster), { code: 0 }, `after ${stopAt - 1} writes`);
    isAdopted(t, cluster, address);
  }
});

t.test("forwards that the config would not serve are refused before any write, with the missing entry", async (t) => {
  const refused = async (cluster: MemoryCluster, using: string, says: RegExp): Promise<string> => {
    const before = versions(cluster);
    const { code, err } = await ran(cluster, {}, configOf(using));
    t.equal(code, 1);
    t.match(err, says);
    t.strictSame(versions(cluster), before);
    return err;
  };
  const chart = await withChart();
  const tunnels = (text: string): string => `gateways: [{name: ${place.name}, namespace: team-a, tunnels: [${text}]}]`;
  const missing = await refused(
    chart,
    tunnels("{name: wg0, secretName: wireguard-client-a}"),
    /^forward-missing: .*mssql \(1433 → 10\.0\.0\.5:1433\), postgres \(15432 → 10\.0\.0\.6:5432\)/,
  );
  const block = missing.replace(/^[^]*?(?=gateways:)/, "");
  t.match(parse(block), { gateways: [{ tunnels: [{ portForwards: [{ name: "mssql" }, { servicePort: 15432 }] }] }] });
  t.match(await ran(chart, { dryRun: true }, configOf(block)), { code: 0 }, "the block is a config that serves it");
  await refused(
    chart,
    tunnels("{name: wg0, secretName: other}"),
    /^tunnel-missing: .*wg0 of the Secret wireguard-client-a/,
  );
  await refused(
    chart,
    "gateways: [{name: other, namespace: team-a, tunnels: [{name: wg0, secretName: k}]}]",
    /^the config knows no gateway team-a\/flowgen-wireguard-gateway\nwhat it serves.*\ngateways:/,
  );
  const [, held] = [await withChart(), await withChart()];
  const [other] = chartGateway({ ...wish, release: "second" });
  await held.create(other, soon());
  await refused(held, configText(), /^identity-held: Deployment team-a\/second-wireguard-gateway mounts the Secret/);
  const edited = await withChart();
  edited.edit("x", { kind: "Service", ...place }, (service) => ({
    ...service,
    spec: { ...(service["spec"] as object), ports: [{ name: "more", port: 99, targetPort: 99, protocol: "TCP" }] },
  }));
  await refused(edited, configText(), /^forward-unread: .*the Service's port 99, which leads to 99/);
  const foreign = createMemoryCluster();
  await foreign.create({ apiVersion: "v1", kind: "Service", metadata: place, spec: { ports: [{ port: 80 }] } }, soon());
  await refused(foreign, configText(), /^object-other: Service team-a\/flowgen-wireguard-gateway is neither/);
  await refused(createMemoryCluster(), configText(), /^absent: there is no gateway/);
});

t.test(
  "a forward below 1024, an IPv6 target, options and comments are read; a port of another kind is refused",
  async (t) => {
    const low = [
      { name: "https", port: 443, targetHost: "10.0.0.7", targetPort: 443 },
      { name: "six", port: 8443, targetHost: "[fd00::5]", targetPort: 8443 },
    ];
    const cluster = await withChart({}, { ...wish, forwards: low });
    const { err } = await ran(
      cluster,
      {},
      configOf("gateways: [{name: other, tunnels: [{name: wg0, secretName: k}]}]"),
    );
    const block = err.replace(/^[^]*?(?=gateways:)/, "");
    t.equal(readConfig(block).kind, "config", block);
    t.match(await ran(cluster, {}, configOf(block)), { code: 0 });
    t.match(read(cluster, "Service")?.["spec"], { ports: [{ port: 443, targetPort: 20443 }, { port: 8443 }] });
  },
);

t.test("objects that were restored without managedFields are the webhook's again", async (t) => {
  const cluster = createMemoryCluster();
  const config = configOf(
    "gateways: [{name: flowgen-wireguard-gateway, namespace: team-a, tunnels: [{name: wg0, secretName: key, allowedTargets: [10.0.0.0/8]}]}]",
  );
  const provision = createProvisioner(cluster, { scripts: loadScripts() });
  const wants = [wantOf("a", "10.0.0.5", 1433), wantOf("b", "10.0.0.6", 1433)];
  await provision({ config, gateway: gatewayOf(config), wants, write: true, signal: soon });
  const restored = createMemoryCluster();
  for (const object of cluster.all()) {
    const { name, namespace, labels, annotations } = object.metadata;
    await restored.create(
      { ...object, metadata: { ...{ name, namespace }, labels, annotations } as KubeObject["metadata"] },
      soon(),
    );
  }
  // An address that no forward needs yet is written with the next change of the table: here.
  const contentsOf = (objects: readonly KubeObject[]) =>
    objects.map((object) => [
      refOf(object),
      JSON.stringify(object["spec"] ?? object["data"]).replace(/(clusterIPs\\":)\[[^\]]*\]/g, "$1…"),
    ]);
  const before = contentsOf(restored.all());
  t.match(await ran(restored, { dryRun: true }, config), {
    out: /would take over Service team-a\/\S+, whose content others own\n/,
  });
  t.match(await ran(restored, {}, config), { code: 0 });
  for (const object of restored.all()) t.notOk(isHeldByOthers(object), object.kind);
  t.strictSame(contentsOf(restored.all()), before, "and are as they were");
});

t.test("the wait for the next pod ends; another config in force is reported", async (t) => {
  const cluster = await withChart();
  t.match(await ran(cluster, { waitSeconds: 0.3 }), { code: 1, err: /the gateway's pod is not ready after/ });
  const withMtu = (mtu: number, more = ""): ReturnType<typeof configOf> =>
    configOf(configText(more).replace("client-a\n", `client-a\n        mtu: ${mtu}\n`));
  t.match(await ran(cluster, {}, withMtu(1400, "revision: 3\n")), { code: 0 });
  t.match(await ran(cluster, {}, withMtu(1300)), {
    code: 1,
    err: /^superseded: team-a\/flowgen-wireguard-gateway/,
  });
});

t.test("the command reads its config and its cluster; mistakes are named", async (t) => {
  const folder = t.testdir({ "config.yaml": configText() });
  let err = "";
  const output = { out: () => undefined, err: (part: string) => (err += part) };
  const options = { cluster: "memory", dryRun: false, waitSeconds: 0, config: `${folder}/config.yaml` } as const;
  t.equal(await adopt("team-a/flowgen-wireguard-gateway", options, output), 1);
  t.match(err, /^absent: there is no gateway/);
  await t.rejects(adopt("gw", options, output), /"gw" is no gateway: write it as namespace\/name/);
});
