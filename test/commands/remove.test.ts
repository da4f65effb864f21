import t from "tap";
import { remove, removeGateway } from "../../src/commands/upkeep/remove.ts";
import { type KubeObject, refOf } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { fault } from "../../src/emulator/store.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { configOf, gatewayOf, scripts, wantOf } from "../making.ts";

const yaml =
  "gateways: [{name: gw, namespace: vpn, tunnels: [{name: wg0, secretName: key, allowedTargets: [10.0.0.0/8]}]}]";
const config = configOf(yaml);
const soon = (): AbortSignal => AbortSignal.timeout(5000);
const place = { namespace: "vpn", name: "gw" };

const withGateway = async (more: Parameters<typeof createMemoryCluster>[0] = {}): Promise<MemoryCluster> => {
  const cluster = createMemoryCluster(more);
  const wants = [wantOf("a", "10.0.0.5", 1433), wantOf("b", "10.0.0.6", 1433)];
  await createProvisioner(cluster, { scripts })({
    config,
    gateway: gatewayOf(config),
    wants,
    write: true,
    signal: soon,
  });
  return cluster;
};
const ran = async (cluster: MemoryCluster, options: { force?: boolean; dryRun?: boolean } = {}, of = place) => {
  let [out, err] = ["", ""];
  const output = { out: (part: string) => (out += part), err: (part: string) => (err += part) };
  const code = await removeGateway(of, { force: false, dryRun: false, ...options }, cluster, output);
  return { code, out, err };
};
const podAt = (name: string, address: string, more: Partial<KubeObject["metadata"]> = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    ...{ name, namespace: "team-a", labels: { "flowgen.io/gateway": "gw" } },
    annotations: {
      "flowgen.io/gateway-status": JSON.stringify({ format: 2, targets: { a: { target: "10.0.0.5:1433", address } } }),
    },
    ...more,
  },
});
const left = (cluster: MemoryCluster) =>
  cluster.all().flatMap((object) => (object.kind === "Pod" ? [] : [JSON.stringify(refOf(object))]));

t.test("all of the gateway's objects go, the table last, and nothing else", async (t) => {
  const cluster = await withGateway();
  const theirs = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "other-forwards", namespace: "vpn" },
  } as const;
  await cluster.create(theirs, soon());
  const dry = await ran(cluster, { dryRun: true });
  t.match(dry, { code: 0, out: /^would delete Deployment vpn\/gw\n/ });
  t.equal(left(cluster).length, 7);
  const { code, out, err } = await ran(cluster);
  t.equal(code, 0);
  t.match(out.trim().split("\n"), [
    "deleted Deployment vpn/gw",
    "deleted Service vpn/gw",
    /^deleted Service vpn\/gw-10-0-0-6-/,
    "deleted NetworkPolicy vpn/gw",
    "deleted ConfigMap vpn/gw-scripts",
    "deleted ConfigMap vpn/gw-forwards",
  ]);
  t.match(err, /the Secrets of its tunnels stay/);
  t.strictSame(left(cluster), [JSON.stringify({ kind: "ConfigMap", namespace: "vpn", name: "other-forwards" })]);
  t.match(await ran(cluster), { code: 1, err: /there is no gateway vpn\/gw of flowgen-gateway-webhook/ });
});

t.test("all policies of a gateway with hundreds of forwards go; another gateway's stay", async (t) => {
  const cluster = createMemoryCluster();
  const large = configOf(yaml.replace("[{name: gw,", "[{name: gw, maxForwards: 500, maxForwardsPerNamespace: 500,"));
  const wants = Array.from({ length: 450 }, (_, at) => wantOf(`t${at}`, "10.0.0.5", 2000 + at));
  const gateway = gatewayOf(large);
  const provision = createProvisioner(cluster, { scripts });
  await provision({ config: large, gateway, wants, write: true, signal: soon });
  const beside = configOf(yaml.replace("name: gw", "name: gw-2").replace("secretName: key", "secretName: other"));
  await provision({ config: beside, gateway: gatewayOf(beside), wants: wants.slice(0, 9), write: true, signal: soon });
  const policies = (): readonly (string | undefined)[] =>
    cluster.all().flatMap(({ kind, metadata }) => (kind === "NetworkPolicy" ? [metadata.name] : []));
  t.strictSame([...policies()].sort(), ["gw", "gw-2", "gw.2", "gw.3"]);
  const { code, out } = await ran(cluster);
  t.equal(code, 0);
  t.match(out, /deleted NetworkPolicy vpn\/gw\.2\ndeleted NetworkPolicy vpn\/gw\.3\n/);
  t.strictSame(policies(), ["gw-2"]);
});

t.test("objects of other owners stay, with any name", async (t) => {
  const cluster = createMemoryCluster();
  await cluster.create(
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "gw-forwards", namespace: "vpn" } },
    soon(),
  );
  t.match(await ran(cluster, { force: true }), { code: 1 });
  t.equal(left(cluster).length, 1);
});

t.test("live pods that use it are named, and it stays without force", async (t) => {
  const cluster = await withGateway();
  const service = cluster.all().find(({ metadata }) => metadata.name?.startsWith("gw-10-0-0-6"))?.metadata.name ?? "";
  await cluster.create(podAt("one", "gw.vpn.svc:1433"), soon());
  await cluster.create(podAt("two", `${service}.vpn.svc:1433`), soon());
  await cluster.create(podAt("elsewhere", "gw.other.svc:1433"), soon());
  await cluster.create(podAt("newer", "", { annotations: { "flowgen.io/gateway-status": '{"format":3}' } }), soon());
  const refused = await ran(cluster);
  t.match(refused, {
    code: 1,
    out: "3 live pods use vpn/gw: team-a/newer, team-a/one, team-a/two\n",
    err: /^nothing was removed: .*--force/,
  });
  t.equal(left(cluster).length, 6);
  t.match(await ran(cluster, { dryRun: true }), { code: 0, out: /3 live pods use vpn\/gw.*\nwould delete/ });
  t.match(await ran(cluster, { force: true }), { code: 0, out: /3 live pods use vpn\/gw.*\ndeleted Deployment/ });
  t.strictSame(left(cluster), []);
});

t.test("a run that was cut short is made again", async (t) => {
  let isRefused = true;
  const cluster = await withGateway({
    before: (call) => {
      if (isRefused && call.verb === "delete" && call.ref.kind === "NetworkPolicy")
        throw fault(call, 403, "Forbidden", "no");
      return undefined;
    },
  });
  await t.rejects(ran(cluster), { code: 403 });
  t.ok(left(cluster).length > 0);
  isRefused = false;
  t.match(await ran(cluster), { code: 0 });
  t.strictSame(left(cluster), []);
});

t.test("a gateway that the config knows is not removed; mistakes are named", async (t) => {
  const folder = t.testdir({ "config.yaml": yaml, "off.yaml": yaml.replace("name: gw", "name: gw, enabled: false") });
  let err = "";
  const output = { out: () => undefined, err: (part: string) => (err += part) };
  const options = { cluster: "memory", force: false, dryRun: false, uninstalled: false } as const;
  const asked = (gateway: string, more: object = {}) =>
    remove(gateway, { ...options, config: `${folder}/config.yaml`, ...more }, output);
  await t.rejects(asked("vpn/gw"), /vpn\/gw is a gateway of .*config\.yaml, and the webhook would make it again/);
  await t.rejects(asked("gw"), /"gw" is no gateway: write it as namespace\/name/);
  t.equal(await asked("vpn/gw", { config: `${folder}/off.yaml` }), 1);
  t.equal(await asked("vpn/gw", { config: "/nowhere", uninstalled: true }), 1);
  t.match(err, /there is no gateway vpn\/gw/);
});

t.test(
  "an object whose status a controller writes meanwhile goes too; one that is another's by then stays",
  async (t) => {
    const cluster = await withGateway();
    const changed = new Set<string>();
    const busy: MemoryCluster = {
      ...cluster,
      delete: (object, signal) => {
        const ref = refOf(object);
        const { kind } = ref;
        if (!changed.has(kind)) {
          changed.add(kind);
          cluster.edit("controller", ref, (read) =>
            kind === "NetworkPolicy"
              ? { ...read, metadata: { ...read.metadata, labels: {} } }
              : { ...read, metadata: { ...read.metadata, labels: { ...read.metadata.labels, seen: "1" } } },
          );
        }
        return cluster.delete(object, signal);
      },
    };
    t.match(await ran(busy), { code: 0 });
    t.strictSame(
      cluster.all().map(({ kind }) => kind),
      ["NetworkPolicy"],
    );
  },
);
