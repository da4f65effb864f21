/**
 * Any number of replicas may admit at the same moment. Any call may conflict, fail, take effect without an answer, or
 * be the last before a crash. A schedule is one such course of events, chosen by a seed. The calls of several replicas
 * to one cluster in memory wait, and the schedule lets them go one at a time. The invariants are checked after every
 * step.
 */
import { type Cluster, ClusterError, type KubeObject } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import type { Provisioned } from "../../src/provisioning/attempt.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import type { Config } from "../../src/core/config/config.ts";
import { readTable } from "../../src/core/forwards/format.ts";
import type { HostService, Table } from "../../src/core/forwards/table.ts";
import type { Want } from "../../src/core/target.ts";
import { address } from "../../src/core/target.ts";
import { gatewayOf, scripts, seeded, wantOf } from "../making.ts";
import { behind, fateOf, Gate, play, quiet } from "./gate.ts";
import { checkIntent, configsFor, watchIntents } from "./two-configs.ts";

const CONFIGS = configsFor(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8, "fd00::/8"], portForwards: [{name: static, port: 2000, targetHost: 10.0.0.9, targetPort: 2000}]}]
`);
export const scheduleConfig = CONFIGS[0]?.[0] as Config;
export const scheduleGateway = gatewayOf(scheduleConfig);
/** Three of six want the same port; two want a host of two ports, one of them by its own Service. */
export const POOL = [
  wantOf("a", "10.0.0.1", 1433),
  wantOf("b", "10.0.0.2", 1433),
  wantOf("c", "10.0.0.3", 1434),
  wantOf("d", "10.0.0.4", 1433, { needsService: true, names: ["d.example.com"] }),
  wantOf("d2", "10.0.0.4", 5432),
  wantOf("e", "fd00::5", 80),
];

/** Tables that were read before: an object in memory is never changed, another takes its place. */
const tables = new WeakMap<KubeObject, Table>();

/** The table, which holds invariant 1 or cannot be read. */
export const checkedTable = (cluster: MemoryCluster): Table | undefined => {
  const object = cluster.all().find(({ metadata }) => metadata.name?.endsWith("-forwards"));
  if (object === undefined) return undefined;
  const known = tables.get(object);
  if (known !== undefined) return known;
  const read = readTable((object["data"] as Record<string, string>)["table.json"] ?? "", "table");
  if (read.kind !== "table") throw new Error(`invariant 1: ${JSON.stringify(read)}`);
  tables.set(object, read.table);
  return read.table;
};

/**
 * The addresses that pods have: `Service port` → the target, and the cluster IPs of the Service where the pod's
 * hostAliases hold them.
 */
export type Handed = Map<string, { readonly target: string; readonly ips: string }>;

export const record = (handed: Handed, provisioned: Provisioned, mayGiveWay = false): void => {
  if (mayGiveWay && provisioned.kind === "fail" && provisioned.reason === "superseded") return;
  if (provisioned.kind !== "assigned") throw new Error(`not served: ${JSON.stringify(provisioned)}`);
  for (const { target, host, port, names, clusterIPs } of provisioned.assignments) {
    const given = { target: address(target.host, target.port), ips: names.length > 0 ? clusterIPs.join() : "" };
    if (port !== target.port) throw new Error(`invariant 4: ${given.target} was given port ${port}`);
    const key = `${host.split(".")[0] ?? ""} ${port}`;
    const before = handed.get(key);
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(given))
      throw new Error(`invariants 2 and 4: ${key} was ${JSON.stringify(before)}, is now ${JSON.stringify(given)}`);
    handed.set(key, given);
  }
};

type ServiceObject = {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly ports: readonly { readonly port: number; readonly targetPort: number }[];
    readonly clusterIPs: readonly string[];
  };
};
export const servicesIn = (cluster: MemoryCluster): readonly ServiceObject[] =>
  cluster.all().filter(({ kind }) => kind === "Service") as unknown as readonly ServiceObject[];

/**
 * Invariants 1 (readTable), 2, 3 and 5: the table has each address of a pod. The Service's port there is that of the
 * target's forward. A Service that was deleted by hand is absent, or was made by a replica with an older table. The
 * next write gives it its ports and addresses again.
 */
export const checkInvariants = (cluster: MemoryCluster, handed: Handed, disturbed: ReadonlySet<string>): void => {
  if (handed.size === 0) return;
  const table = checkedTable(cluster);
  const services = new Map(servicesIn(cluster).map((service) => [service.metadata.name, service]));
  for (const [key, { target, ips }] of handed) {
    const [name = "", port = ""] = key.split(" ");
    const forward = table?.forwards.find((item) => address(item.targetHost, item.targetPort) === target);
    if (forward === undefined) throw new Error(`invariant 3: ${target} was handed out and is not in the table`);
    const own = table?.services.find((service) => service.name === name);
    if (ips !== "" && own?.clusterIPs.join() !== ips) throw new Error(`invariant 3: the table lost ${ips} of ${name}`);
    if (disturbed.has(name)) continue;
    const service = services.get(name);
    if (service?.spec.ports.find((item) => item.port === Number(port))?.targetPort !== forward.listenPort)
      throw new Error(`invariant 5: ${target} was handed out at ${key}, which the Service does not have`);
    if (ips !== "" && service.spec.clusterIPs.join() !== ips)
      throw new Error(`invariant 5: ${name} has ${service.spec.clusterIPs.join()}, pods have ${ips}`);
  }
};

/**
 * Invariant 5, once no call fails: Services and NetworkPolicy are those of the table. A Service that was deleted may be
 * absent.
 */
export const checkConverged = (cluster: MemoryCluster, disturbed: ReadonlySet<string>): void => {
  const table = checkedTable(cluster);
  const services = servicesIn(cluster);
  const names = new Set(services.map(({ metadata }) => metadata.name));
  const found = services.flatMap(({ metadata, spec }) =>
    spec.ports.map(({ port, targetPort }) => `${metadata.name} ${port} ${targetPort}`),
  );
  const wanted = (table?.forwards ?? []).flatMap((item) => [
    ...(item.servicePort === undefined ? [] : [`${scheduleGateway.name} ${item.servicePort} ${item.listenPort}`]),
    ...(table?.services ?? [])
      .filter(({ tunnel, host }) => tunnel === item.tunnel && host === item.targetHost)
      .filter(({ name }) => names.has(name) || !disturbed.has(name))
      .map(({ name }) => `${name} ${item.targetPort} ${item.listenPort}`),
  ]);
  if (found.sort().join() !== wanted.sort().join())
    throw new Error(`invariant 5: the Services have ${found.join()}, the table ${wanted.join()}`);
  const policy = cluster.all().find(({ kind }) => kind === "NetworkPolicy")?.["spec"] as { ingress: unknown[] };
  if (policy.ingress.length - 1 !== table?.forwards.length)
    // the last rule is of the metrics
    throw new Error(`invariant 5: ${policy.ingress.length} rules, ${table?.forwards.length} forwards`);
};

/** A person deletes a Service of a host's own. Returns its name. */
export const disturb = (cluster: MemoryCluster, random: () => number): string | undefined => {
  const own = servicesIn(cluster).filter(({ metadata }) => metadata.name !== scheduleGateway.name);
  const chosen = own[Math.floor(random() * own.length)];
  if (chosen === undefined) return undefined;
  const { name } = chosen.metadata;
  return cluster.remove({ kind: "Service", namespace: scheduleGateway.namespace, name }) ? name : undefined;
};

export type Played = { readonly steps: number; readonly crashes: number };

/** Plays the schedule of a seed. Throws what does not hold. */
export const playSchedule = async (seed: number): Promise<Played> => {
  const random = seeded(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const cluster = createMemoryCluster({ now: () => 0 });
  const gate = new Gate();
  const handed: Handed = new Map();
  const disturbed = new Set<string>();
  const replicas = 2 + Math.floor(random() * 2);
  const { signal } = new AbortController();
  const errors: Error[] = [];
  /** The pods that hold a lost address are reported, and their address is no longer checked. */
  const addressLost = (_gateway: unknown, { name, clusterIPs }: HostService): void => {
    if (!servicesIn(cluster).some(({ spec }) => spec.clusterIPs.some((ip) => clusterIPs.includes(ip))))
      errors.push(new Error(`${name} was said to have lost ${clusterIPs.join()}, which is free`));
    for (const key of handed.keys()) if (key.startsWith(`${name} `)) handed.delete(key);
  };
  const configs = pick(CONFIGS);
  const watched = watchIntents(cluster, (error) => errors.push(error));
  const provisionOf = (through: Cluster, pause: () => Promise<void>) =>
    createProvisioner(through, { scripts, now: () => 0, random, pause, events: { addressLost } });
  for (let replica = 0; replica < replicas; replica += 1) {
    const config = pick(configs);
    const provision = provisionOf(behind(watched(replica), gate, replica), () =>
      gate.hold(replica, false).catch(() => undefined),
    );
    const pods: Want[][] = Array.from({ length: 1 + Math.floor(random() * 3) }, () => [
      ...new Set([pick(POOL), pick(POOL)]),
    ]);
    for (const wants of pods) {
      provision({ config, gateway: gatewayOf(config), wants, write: true, signal: () => signal }).then(
        (provisioned) => {
          try {
            record(handed, provisioned, configs.length > 1);
          } catch (error) {
            errors.push(error as Error);
          }
        },
        (error: unknown) => {
          if (!(error instanceof ClusterError)) errors.push(error as Error);
        },
      );
    }
  }
  const faults = pick([0, 0.02, 0.1, 0.3]);
  let steps = 0;
  await quiet();
  for (; gate.waiting.length > 0; steps += 1) {
    if (steps > 5000) throw new Error("it does not end");
    const [step] = gate.waiting.splice(Math.floor(random() * gate.waiting.length), 1);
    if (step !== undefined) play(gate, step, fateOf(random, faults), replicas - gate.dead.size);
    await quiet();
    if (errors[0] !== undefined) throw errors[0];
    const deleted = random() < 0.02 ? disturb(cluster, random) : undefined;
    if (deleted !== undefined) disturbed.add(deleted);
    checkInvariants(cluster, handed, disturbed);
  }
  if (faults === 0) checkConverged(cluster, disturbed);
  const last = configs.at(-1) as Config;
  const asked = { config: last, gateway: gatewayOf(last), wants: POOL, write: true, signal: () => signal };
  record(handed, await provisionOf(cluster, () => Promise.resolve())(asked), false);
  checkIntent(cluster, last);
  checkInvariants(cluster, handed, new Set());
  checkConverged(cluster, new Set());
  return { steps, crashes: gate.dead.size };
};
