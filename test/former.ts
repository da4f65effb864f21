/** An earlier version of the webhook beside this one, on one gateway: upgrade, both at once, the way back. Used on the emulator and on a real API server. */
import { createRequire } from "node:module";
import type { Test } from "tap";
import { admit } from "../src/admit.ts";
import { type Cluster, ClusterError, type KubeObject } from "../src/cluster/cluster.ts";
import type { Admission } from "../src/core/admission.ts";
import { readConfig } from "../src/core/config/config.ts";
import { readTable } from "../src/core/forwards/format.ts";
import type { Pod } from "../src/core/pod.ts";
import { createProvisioner } from "../src/provisioning/provisioner.ts";
import { podOf, scripts } from "./making.ts";

const GATEWAY = "gw";
const configIn = (namespace: string): string => `
defaultGateway: ${GATEWAY}
gateways:
  - name: ${GATEWAY}
    namespace: ${namespace}
    maxForwards: 500
    tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]
`;
const NAMESPACES = ["team-a", "team-b", "team-c"];

/** The gateway's place. */
type Home = { readonly cluster: Cluster; readonly namespace: string };

/** A process of the webhook, of either version. */
type Replica = (pod: Pod, namespace: string) => Promise<Admission>;
type Version = {
  readonly admit: typeof admit;
  readonly ClusterError: typeof ClusterError;
  readonly readConfig: typeof readConfig;
  readonly createProvisioner: typeof createProvisioner;
};

/** The cluster with the errors of another version, which knows only its own. */
const inWordsOf = (version: Pick<Version, "ClusterError">, cluster: Cluster): Cluster => {
  const told = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      const { verb, ref, code, reason, message: says } = error;
      throw new version.ClusterError({ verb, ref, code, reason, says });
    }
  };
  return {
    get: (ref, signal) => told(cluster.get(ref, signal)),
    list: (kind, namespace, selector, signal) => told(cluster.list(kind, namespace, selector, signal)),
    create: (object, signal) => told(cluster.create(object, signal)),
    apply: (object, signal) => told(cluster.apply(object, signal)),
    update: (object, signal) => told(cluster.update(object, signal)),
    delete: (object, signal) => told(cluster.delete(object, signal)),
    livePods: (selector, signal) => cluster.livePods(selector, signal),
  };
};

const replicaOf = (version: Version, { cluster, namespace: home }: Home): Replica => {
  const reading = version.readConfig(configIn(home));
  if (reading.kind === "invalid") throw new Error(reading.problems.join());
  const { config } = reading;
  const provision = version.createProvisioner(inWordsOf(version, cluster), { scripts });
  const context = { config, provision, version: "1" };
  return (pod, namespace) =>
    version.admit({ pod, namespace, dryRun: false, signal: () => AbortSignal.timeout(20_000) }, context);
};

const here: Version = { admit, ClusterError, readConfig, createProvisioner };
/** The versions of test/fixtures/former. */
export const FORMER = ["format-2", "one-policy"] as const;
const formerVersion = (name: (typeof FORMER)[number]): Version =>
  createRequire(import.meta.url)(`./fixtures/former/${name}.cjs`) as Version;

const podFor = (target: number): Pod => {
  const host = `10.0.${target >> 8}.${target & 255}`;
  return podOf(`t${target}=${host}:${2000 + target}`, { URL: `postgres://u:p@${host}:${2000 + target}/db` });
};
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);

type Port = { readonly port: number; readonly targetPort: number };
type Rule = { readonly ports?: readonly { readonly port: number }[] };

/** For each target the ports of its forward, and whether the gateway's Service and policies have them. */
const servedIn = async ({ cluster, namespace }: Home): Promise<ReadonlyMap<string, string>> => {
  const soon = AbortSignal.timeout(20_000);
  const get = (kind: "ConfigMap" | "Service" | "NetworkPolicy", name: string): Promise<KubeObject | undefined> =>
    cluster.get({ kind, namespace, name }, soon);
  const table = await get("ConfigMap", `${GATEWAY}-forwards`);
  const data = { ...(table?.["data"] as Record<string, string> | undefined) };
  const read = readTable(data["table.json"] ?? "", "table");
  if (read.kind !== "table") throw new Error(JSON.stringify(read));
  const lines = new Set(data["forwards"]?.split("\n"));
  const service = await get("Service", GATEWAY);
  const { ports } = service?.["spec"] as { readonly ports: readonly Port[] };
  const policies = await Promise.all(["", ".2", ".3"].map((end) => get("NetworkPolicy", `${GATEWAY}${end}`)));
  const open = policies.flatMap((policy) => {
    const { ingress = [] } = { ...(policy?.["spec"] as { readonly ingress?: readonly Rule[] } | undefined) };
    return ingress.flatMap((rule) => rule.ports ?? []).map(({ port }) => port);
  });
  return new Map(
    read.table.forwards.map(({ targetHost, targetPort, listenPort, servicePort, tunnel }) => [
      `${targetHost}:${targetPort}`,
      [
        `${listenPort} ${servicePort}`,
        lines.has(`${listenPort} ${targetHost} ${targetPort} ${tunnel}`) ? "" : "no line",
        ports.some(({ port, targetPort: to }) => port === servicePort && to === listenPort) ? "" : "not offered",
        open.includes(listenPort) ? "" : "not admitted",
      ]
        .filter((text) => text !== "")
        .join(", "),
    ]),
  );
};

/** Upgrade, both at once, the way back and the upgrade again: no pod is refused, and no forward is lost or changed. */
export const tellStory = async (t: Test, place: Home, name: (typeof FORMER)[number]): Promise<void> => {
  const former = formerVersion(name);
  const old = replicaOf(former, place);
  const [one, two] = [replicaOf(here, place), replicaOf(here, place)];
  const addresses = new Map<number, string>();
  let served: ReadonlyMap<string, string> = new Map();
  let left = 0;
  /** As a ReplicaSet does: a request without an answer is repeated, at the next replica. */
  const ask = async (replicas: readonly Replica[], target: number, at: number): Promise<void> => {
    for (let tries = 0; ; tries += 1) {
      const replica = replicas[(at + tries) % replicas.length] as Replica;
      const { outcome, reason, message, assignments } = await replica(podFor(target), NAMESPACES[target % 3] ?? "");
      if (outcome === "fail" && reason === ("superseded" as string) && tries < 2 * replicas.length) {
        left += 1;
        continue;
      }
      const [assignment] = assignments;
      const address = `${assignment?.host}:${assignment?.port}`;
      if (outcome !== "inject") t.fail(`target ${target}: ${outcome} ${reason} ${message}`);
      else if (address !== (addresses.get(target) ?? address)) t.fail(`target ${target} moved to ${address}`);
      addresses.set(target, address);
      return;
    }
  };
  const phase = async (what: string, replicas: readonly Replica[], targets: readonly number[]): Promise<void> => {
    await Promise.all(targets.map((target, at) => ask(replicas, target, at)));
    const now = await servedIn(place);
    const wrong = [...now].filter(([, ports]) => ports.includes(","));
    const lost = [...served].filter(([target, ports]) => now.get(target) !== ports);
    t.strictSame([wrong, lost], [[], []], what);
    t.equal(now.size, addresses.size, `${what}: ${now.size} forwards`);
    served = now;
  };
  await phase("the former version", [old], range(0, 30));
  await phase("both, while the upgrade goes on", [old, one, two], range(0, 75));
  await phase("this version", [one, two], range(0, 260));
  const back = replicaOf(former, place);
  await phase("both, while the rollback goes on", [one, back, two], [...range(0, 275), ...range(0, 75)]);
  await phase("the former version again", [back, replicaOf(former, place)], range(0, 290));
  await phase("this version again", [replicaOf(here, place), one], range(0, 300));
  t.comment(`${left} answers were left to another process`);
};
