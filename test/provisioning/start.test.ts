// While a gateway starts, its Services have its pod as an endpoint before that is ready; and no longer.
import t from "tap";
import { type KubeObject, type Ref } from "../../src/cluster/cluster.ts";
import type { Config } from "../../src/core/config/config.ts";
import { isPublished } from "../../src/core/gateway/start.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { createProvisioning, type Provisioning, type ProvisionOptions } from "../../src/provisioning/provisioner.ts";
import { configOf, gatewayOf, scripts, wantOf } from "../making.ts";

const name = "flowgen-wireguard-gateway";
const namespace = "flowgen-gateway";
const configWith = (secrets: string): Config =>
  configOf(`gateways: [{namespace: ${namespace}, tunnels: [{name: wg0, ${secrets}, allowedTargets: [10.0.0.0/8]}]}]`);
const one = configWith("secretName: a");
const deployment: Ref = { kind: "Deployment", namespace, name };
const each = (): AbortSignal => new AbortController().signal;

/** A replica that looks at its gateways, and whether it takes the gateway to start, each time that it looked. */
const replicaOf = (
  cluster: MemoryCluster,
  more: Partial<ProvisionOptions> = {},
): Provisioning & { readonly seen: readonly boolean[] } => {
  const seen: boolean[] = [];
  const events = { starting: (_: unknown, isStarting: boolean) => void seen.push(isStarting) };
  return { ...createProvisioning(cluster, { scripts, keeps: true, events, ...more }), seen };
};
/** A pod comes with two targets: by the gateway's Service, and by its host's own. */
const come = async ({ provision }: Provisioning, config: Config, port = 1433): Promise<void> => {
  const led = { names: ["b.example.com"], needsService: true };
  const wants = [wantOf(`a-${port}`, "10.0.0.5", port), wantOf(`b-${port}`, "10.0.0.6", port, led)];
  await provision({ config, gateway: gatewayOf(config), wants, write: true, signal: each });
};
const services = (cluster: MemoryCluster): readonly KubeObject[] =>
  cluster.all().filter(({ kind, metadata }) => kind === "Service" && metadata.name !== `${name}-pods`);
const published = (cluster: MemoryCluster): readonly boolean[] => services(cluster).map(isPublished);
const setAvailable = (cluster: MemoryCluster, availableReplicas: number): void => {
  cluster.edit("kube-controller-manager", deployment, (object) => ({
    ...object,
    status: { observedGeneration: object.metadata.generation, replicas: 1, updatedReplicas: 1, availableReplicas },
  }));
};
const versions = (cluster: MemoryCluster): string =>
  cluster
    .all()
    .map(({ metadata }) => `${metadata.name ?? ""} ${metadata.resourceVersion ?? ""}`)
    .join();

t.test("until the first pod is ready, at any look and any admission", async (t) => {
  const cluster = createMemoryCluster();
  const [replica, other] = [replicaOf(cluster), replicaOf(cluster)];
  await come(replica, one);
  t.strictSame(published(cluster), [true, true]);
  const made = versions(cluster);
  await replica.repair(one, "drift", each);
  await other.repair(one, "drift", each);
  t.equal(versions(cluster), made, "looks write nothing");
  await come(other, one, 5432);
  t.strictSame(published(cluster), [true, true], "further targets");
  t.strictSame([new Set(replica.seen), new Set(other.seen)], [new Set([true]), new Set([true])]);

  setAvailable(cluster, 1);
  await other.repair(one, "drift", each);
  t.strictSame(published(cluster), [false, false]);
  const ended = versions(cluster);
  await replica.repair(one, "drift", each);
  t.equal(versions(cluster), ended, "written once");
  t.strictSame([replica.seen.at(-1), other.seen.at(-1)], [false, true], "one more look sees that all is written");

  setAvailable(cluster, 0);
  await come(replica, one, 3306);
  await other.repair(one, "drift", each);
  t.strictSame(published(cluster), [false, false], "a pod that is not ready again is no start");
});

t.test("a replica that read the gateway before its pod was ready does not begin anew", async (t) => {
  let meanwhile: () => Promise<void> = async () => undefined;
  const cluster = createMemoryCluster();
  const late = replicaOf({
    ...cluster,
    apply: async (object, signal, manager) => {
      if (object.kind === "Service") await meanwhile();
      return cluster.apply(object, signal, manager);
    },
  });
  const other = replicaOf(cluster);
  await come(late, one);
  meanwhile = async () => {
    meanwhile = async () => undefined;
    setAvailable(cluster, 1);
    await other.repair(one, "drift", each);
  };
  await come(late, one, 5432);
  t.equal(late.seen.at(-1), true, "it looks again");
  await late.repair(one, "drift", each);
  await late.repair(one, "drift", each);
  t.strictSame([published(cluster), late.seen.at(-1)], [[false, false], false]);
});

t.test("with several identities, and where no further look follows, an endpoint is ready", async (t) => {
  const two = configWith("secretNames: [a, b]");
  const cluster = createMemoryCluster();
  await come(replicaOf(cluster), two);
  t.strictSame(published(cluster), [false, false], "several identities");

  const grown = createMemoryCluster();
  const replica = replicaOf(grown);
  await come(replica, one);
  await replica.repair(two, "config", each);
  t.strictSame(published(grown), [false, false], "a second identity");

  const unkept = createMemoryCluster();
  await come(replicaOf(unkept, { keeps: false }), one);
  t.strictSame(published(unkept), [false, false], "no further look");
});

t.test("a value of another owner stays", async (t) => {
  const cluster = createMemoryCluster();
  const replica = replicaOf(cluster);
  await come(replica, one);
  setAvailable(cluster, 1);
  await replica.repair(one, "drift", each);
  cluster.edit("admin", { kind: "Service", namespace, name }, (object) => ({
    ...object,
    spec: { ...(object["spec"] as object), publishNotReadyAddresses: true },
  }));
  const before = versions(cluster);
  await replica.repair(one, "drift", each);
  t.equal(versions(cluster), before);
});
