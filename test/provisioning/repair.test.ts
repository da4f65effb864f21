import t from "tap";
import { type KubeObject, type Ref, refOf } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { fault } from "../../src/emulator/store.ts";
import type { Config } from "../../src/core/config/config.ts";
import type { Repair } from "../../src/provisioning/request.ts";
import { createProvisioning, type Provisioning } from "../../src/provisioning/provisioner.ts";
import { configOf, gatewayOf, scripts, wantOf } from "../making.ts";

const configWith = (more: string): Config =>
  configOf(`gateways: [{${more}, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]}]`);
const config = configWith("namespace: flowgen-gateway");
const { signal } = new AbortController();
const each = (): AbortSignal => signal;

const name = "flowgen-wireguard-gateway";
const ref = (kind: Ref["kind"], of = name): Ref => ({ kind, namespace: "flowgen-gateway", name: of });

/** A gateway with two targets, one of them at its host's own Service. */
const withGateway = async (cluster: MemoryCluster, { provision }: Provisioning): Promise<void> => {
  const led = { names: ["b.example.com"], needsService: true };
  const wants = [wantOf("a", "10.0.0.5", 1433), wantOf("b", "10.0.0.6", 1433, led)];
  await provision({ config, gateway: gatewayOf(config), wants, write: true, signal: () => signal });
  if (cluster.all().length !== 6) throw new Error("the gateway is not complete");
};

const versions = (cluster: MemoryCluster): readonly string[] =>
  cluster.all().map((object) => `${JSON.stringify(refOf(object))} ${object.metadata.resourceVersion ?? ""}`);
/** Pods find the gateway's own Service by its name: its address may be another. */
const contents = (cluster: MemoryCluster): readonly object[] =>
  cluster.all().map(({ kind, metadata: { name: of, labels, annotations }, spec, ...rest }) => {
    const addressless = kind === "Service" && of === name && { clusterIP: undefined, clusterIPs: undefined };
    return {
      kind,
      of,
      labels,
      annotations,
      ...rest,
      metadata: undefined,
      spec: { ...(spec as object), ...addressless },
    };
  });

t.test(
  "every object that was changed or deleted is made again, by another replica and without an admission",
  async (t) => {
    const cluster = createMemoryCluster();
    const mine = createProvisioning(cluster, { scripts });
    const other = createProvisioning(cluster, { scripts });
    await withGateway(cluster, mine);
    const before = contents(cluster);
    const own = cluster.all().find(({ metadata }) => metadata.name?.startsWith(`${name}-10-`))?.metadata.name ?? "";
    const OBJECTS: readonly [Ref, (object: KubeObject) => object][] = [
      [ref("ConfigMap", `${name}-scripts`), () => ({ data: { "forward.sh": "exit 1" } })],
      [ref("ConfigMap", `${name}-forwards`), ({ data }) => ({ data: { ...(data as object), forwards: "" } })],
      [ref("Deployment"), ({ spec }) => ({ spec: { ...(spec as object), replicas: 0 } })],
      [ref("Service"), ({ spec }) => ({ spec: { ...(spec as object), type: "NodePort" } })],
      [ref("Service", own), ({ spec }) => ({ spec: { ...(spec as object), type: "NodePort" } })],
      [ref("NetworkPolicy"), ({ spec }) => ({ spec: { ...(spec as object), ingress: [{}] } })],
    ];
    for (const [of, change] of OBJECTS)
      for (const replica of [mine, other]) {
        cluster.edit("somebody", of, (object) => ({ ...object, ...change(object) }));
        t.not(JSON.stringify(contents(cluster)), JSON.stringify(before));
        t.strictSame(await replica.repair(config, "drift", each), []);
        t.strictSame(contents(cluster), before, `${of.kind} ${of.name} was changed`);
        cluster.remove(of);
        t.strictSame(await replica.repair(config, "drift", each), []);
        t.strictSame(contents(cluster), before, `${of.kind} ${of.name} was deleted`);
      }
  },
);

t.test("without a difference nothing is written, and a second look makes six reads", async (t) => {
  const calls: string[] = [];
  const cluster = createMemoryCluster({ before: ({ verb, ref: { kind } }) => void calls.push(`${verb} ${kind}`) });
  await withGateway(cluster, createProvisioning(cluster, { scripts }));
  const before = versions(cluster);
  const fresh = createProvisioning(cluster, { scripts });
  await fresh.repair(config, "config", each);
  t.strictSame(versions(cluster), before, "a process that has just started");
  calls.length = 0;
  await fresh.repair(config, "drift", each);
  t.strictSame(
    calls.toSorted(),
    [
      ...["get ConfigMap", "get ConfigMap", "get Deployment", "get NetworkPolicy", "get Service"],
      "list Service",
    ].toSorted(),
  );
  t.strictSame(versions(cluster), before);
});

t.test("no gateway is made that no pod asked for; pods that wait for it get it", async (t) => {
  const cluster = createMemoryCluster();
  const replica = createProvisioning(cluster, { scripts });
  t.strictSame(await replica.repair(config, "config", each), []);
  t.strictSame(cluster.all(), []);
  const looking = replica.repair(config, "config", each);
  await withGateway(cluster, replica);
  t.strictSame(await looking, []);
});

t.test("a gateway of each namespace is kept by the processes that know it", async (t) => {
  const perNamespace = configWith("name: gw");
  const cluster = createMemoryCluster();
  const replica = createProvisioning(cluster, { scripts });
  const ask = (namespace: string): Promise<unknown> => {
    const gateway = { ...gatewayOf(perNamespace), namespace };
    const wants = [wantOf("a", "10.0.0.5", 1433)];
    return replica.provision({ config: perNamespace, gateway, wants, write: true, signal: () => signal });
  };
  await ask("team-a");
  await ask("team-b");
  for (const namespace of ["team-a", "team-b"]) cluster.remove({ kind: "Deployment", namespace, name: "gw" });
  await createProvisioning(cluster, { scripts }).repair(perNamespace, "drift", each);
  const deployments = (): number => cluster.all().filter(({ kind }) => kind === "Deployment").length;
  t.equal(deployments(), 0, "a process that no pod asked knows none");
  await replica.repair(perNamespace, "drift", each);
  t.equal(deployments(), 2);
});

t.test(
  "a config that comes into force changes the gateway's pod; a look for drift leaves another config's",
  async (t) => {
    const cluster = createMemoryCluster();
    const old = createProvisioning(cluster, { scripts });
    await withGateway(cluster, old);
    const next = configWith("namespace: flowgen-gateway, nodeSelector: {disk: ssd}");
    const wants = (): unknown =>
      (cluster.all().find(({ kind }) => kind === "Deployment")?.["spec"] as { template: { spec: object } }).template
        .spec;
    const replica = createProvisioning(cluster, { scripts });
    await replica.repair(next, "drift", each);
    t.notMatch(wants(), { nodeSelector: { disk: "ssd" } }, "not yet");
    await replica.repair(next, "config", each);
    t.match(wants(), { nodeSelector: { disk: "ssd" } });
    const policy = (): unknown => cluster.all().find(({ kind }) => kind === "NetworkPolicy")?.["spec"];
    await old.repair(config, "drift", each);
    t.match(wants(), { nodeSelector: { disk: "ssd" } }, "a replica that is behind does not take it back");
    const less = configOf("gateways: [{namespace: flowgen-gateway, tunnels: [{name: wg0, secretName: a}]}]");
    await replica.repair(less, "config", each);
    t.match(
      policy(),
      { ingress: { length: 1, 0: { ports: [{ port: 65534 }] } } },
      "a revoked target is closed at once",
    );
  },
);

t.test("a gateway that cannot be repaired is returned, and the others are repaired", async (t) => {
  let isDown = false;
  const cluster = createMemoryCluster({
    before: (call) => {
      if (isDown && call.ref.namespace === "two") throw fault(call, 403, "Forbidden", "no");
      return undefined;
    },
  });
  const three = configOf(`
defaultGateway: one
gateways:
  - {name: one, namespace: one, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]}
  - {name: two, namespace: two, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]}
  - {name: three, namespace: three, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]}
  - {name: off, namespace: off, enabled: false, tunnels: [{name: wg0, secretName: a}]}
`);
  const replica = createProvisioning(cluster, { scripts });
  for (const [index, item] of three.gateways.entries()) {
    if (index === 3) continue;
    const gateway = { ...item, namespace: item.namespace ?? "", isPerNamespace: false };
    const wants = [wantOf("a", "10.0.0.5", 1433)];
    await replica.provision({ config: three, gateway, wants, write: true, signal: () => signal });
  }
  for (const where of ["one", "two", "three"]) cluster.remove({ kind: "NetworkPolicy", namespace: where, name: where });
  const unread = { data: { "table.json": "{" } };
  cluster.edit("somebody", { kind: "ConfigMap", namespace: "one", name: "one-forwards" }, (object) => ({
    ...object,
    ...unread,
  }));
  isDown = true;
  t.match(await replica.repair(three, "drift", each), [
    { gateway: { name: "one" }, why: { kind: "reject", reason: "table-invalid" } },
    { gateway: { name: "two" }, why: { code: 403 } },
  ]);
  t.strictSame(
    cluster.all().flatMap(({ kind, metadata }) => (kind === "NetworkPolicy" ? [metadata.namespace] : [])),
    ["three"],
  );
});

t.test("replicas that repair at the same moment converge", async (t) => {
  const cluster = createMemoryCluster();
  const replicas = [1, 2, 3, 4].map(() => createProvisioning(cluster, { scripts, pause: () => Promise.resolve() }));
  await withGateway(cluster, replicas[0] as Provisioning);
  const before = contents(cluster);
  for (const object of cluster.all())
    if (!(object.metadata.name ?? "").endsWith("-forwards")) cluster.remove(refOf(object));
  const how: Repair = "drift";
  const ends = await Promise.all(replicas.map((replica) => replica.repair(config, how, each)));
  t.strictSame(ends, [[], [], [], []]);
  t.strictSame(contents(cluster), before);
});

t.test(
  "a gateway in each namespace: what its tenant writes into the table is served only where the config grants it",
  async (t) => {
    const cluster = createMemoryCluster();
    const { provision, repair } = createProvisioning(cluster, { scripts });
    const perNamespace = configWith("name: gw");
    const gateway = { ...gatewayOf(perNamespace), namespace: "team-a" };
    const asking = { config: perNamespace, gateway, write: true, signal: () => signal };
    await provision({ ...asking, wants: [wantOf("a", "10.0.0.5", 1433)] });
    const table: Ref = { kind: "ConfigMap", namespace: "team-a", name: "gw-forwards" };
    const data = async (): Promise<Readonly<Record<string, string>>> =>
      (await cluster.get(table, signal))?.["data"] as Readonly<Record<string, string>>;
    const { "table.json": text = "", forwards } = await data();
    const theirs = text.replace(
      '"forwards":[',
      '"forwards":[{"name":"x","tunnel":"wg0","targetHost":"192.168.0.1","targetPort":22,"listenPort":2222,"servicePort":22},',
    );
    const line = "2222 192.168.0.1 22 wg0\n";
    for (const written of [text, theirs]) {
      cluster.edit("tenant", table, (object) => ({
        ...object,
        data: { "table.json": written, forwards: `${forwards}${line}` },
      }));
      t.strictSame(await repair(perNamespace, "drift", each), []);
      t.equal((await data())["forwards"], forwards);
    }
    await provision({ ...asking, wants: [wantOf("b", "10.0.0.6", 5432)] });
    t.notMatch((await data())["forwards"], line, "its forward stays in the table, and is never served");
    t.match((await data())["table.json"], "192.168.0.1");
  },
);
