/**
 * Any number of replicas may admit at the same moment, and any call of theirs may conflict, fail, take effect without an answer, or be
 * the last before a crash. A schedule is one such course of events, chosen by a seed: the steps of several replicas on one
 * cluster in memory are held back and let go one at a time. What must hold is checked after every step.
 */
import { type Cluster, ClusterError, type KubeObject } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import type { Provisioned } from "../../src/provisioning/round.ts";
import { createProvisioner } from "../../src/provisioning/lane.ts";
import { readTable, type Table } from "../../src/core/forwards/table.ts";
import type { Want } from "../../src/core/plan.ts";
import { address } from "../../src/core/target.ts";
import { configOf, gatewayOf, scripts, seeded, wantOf } from "../making.ts";

const config = configOf(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8, "fd00::/8"], portForwards: [{name: static, port: 2000, targetHost: 10.0.0.9, targetPort: 2000}]}]
`);
const gateway = gatewayOf(config);
/** Three of five want the same port, one wants it by number. */
const POOL = [
  wantOf("a", "10.0.0.1", 1433),
  wantOf("b", "10.0.0.2", 1433),
  wantOf("c", "10.0.0.3", 1434),
  wantOf("d", "10.0.0.4", 1433, 1440),
  wantOf("e", "fd00::5", 80),
];

type Fate = "go" | "refuse" | "lose" | "crash";
type Step = {
  readonly replica: number;
  readonly go: () => void;
  readonly fail: (error: Error) => void;
  readonly isAnswer: boolean;
};

/** Holds steps back until the schedule lets one go. */
class Gate {
  readonly waiting: Step[] = [];
  readonly dead = new Set<number>();

  hold(replica: number, isAnswer: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.dead.has(replica)) this.waiting.push({ replica, go: resolve, fail: reject, isAnswer });
    });
  }

  crash(replica: number): void {
    this.dead.add(replica);
    for (let index = this.waiting.length - 1; index >= 0; index -= 1)
      if (this.waiting[index]?.replica === replica) this.waiting.splice(index, 1);
  }
}

const fault = (code: number): ClusterError =>
  new ClusterError({
    verb: "apply",
    ref: { kind: "ConfigMap", namespace: "", name: "" },
    code,
    reason: "Injected",
    says: "injected",
  });

/** One replica's view of the cluster: every call waits to be sent, and again to be answered. */
const behind = (cluster: Cluster, gate: Gate, replica: number): Cluster => {
  const held = async <T>(call: () => Promise<T>): Promise<T> => {
    await gate.hold(replica, false);
    const result = await call();
    await gate.hold(replica, true);
    return result;
  };
  return {
    get: (ref, signal) => held(() => cluster.get(ref, signal)),
    list: (kind, namespace, selector, signal) => held(() => cluster.list(kind, namespace, selector, signal)),
    create: (object, signal) => held(() => cluster.create(object, signal)),
    apply: (object, signal) => held(() => cluster.apply(object, signal)),
  };
};

/** Tables that were read before: an object in memory is never changed, another takes its place. */
const tables = new WeakMap<KubeObject, Table>();

/** The table, which holds invariant 1 or cannot be read. */
const tableIn = (cluster: MemoryCluster): Table | undefined => {
  const object = cluster.all().find(({ metadata }) => metadata.name === "flowgen-wireguard-gateway-forwards");
  if (object === undefined) return undefined;
  const known = tables.get(object);
  if (known !== undefined) return known;
  const read = readTable((object["data"] as Record<string, string>)["table.json"] ?? "", "table");
  if (read.kind !== "table") throw new Error(`invariant 1: ${JSON.stringify(read)}`);
  tables.set(object, read.table);
  return read.table;
};

/** What pods were told: target → service port. A second pod must be told the same. */
type Told = Map<string, number>;

const record = (told: Told, provisioned: Provisioned): void => {
  if (provisioned.kind !== "assigned") throw new Error(`not served: ${JSON.stringify(provisioned)}`);
  for (const { target, port } of provisioned.assignments) {
    const key = address(target.host, target.port);
    const before = told.get(key);
    if (before !== undefined && before !== port) throw new Error(`invariant 4: ${key} was told ${before}, now ${port}`);
    told.set(key, port);
  }
};

/** Invariants 1 (readTable), 2 and 3: what any pod was told stands in the table, unchanged; and 5: the Service leads there already. */
const check = (cluster: MemoryCluster, told: Told): void => {
  if (told.size === 0) return;
  const table = tableIn(cluster);
  const ports = new Map(servicePorts(cluster).map(({ port, targetPort }) => [port, targetPort]));
  for (const [target, port] of told) {
    const forward = table?.forwards.find((item) => address(item.targetHost, item.targetPort) === target);
    if (forward?.servicePort !== port)
      throw new Error(`invariants 2 and 3: ${target} was told ${port}, the table says ${forward?.servicePort}`);
    if (ports.get(port) !== forward.listenPort)
      throw new Error(`invariant 5: ${target} was told ${port}, which the Service does not have`);
  }
};

const spec = (cluster: MemoryCluster, kind: string): Record<string, unknown> =>
  (cluster.all().find((object) => object.kind === kind)?.["spec"] ?? {}) as Record<string, unknown>;
const servicePorts = (cluster: MemoryCluster) =>
  (spec(cluster, "Service")["ports"] ?? []) as { port: number; targetPort: number }[];

/** Invariant 5, once nobody disturbs: Service and NetworkPolicy are those of the table. */
const checkConverged = (cluster: MemoryCluster): void => {
  const table = tableIn(cluster);
  const ports = servicePorts(cluster).map(({ port, targetPort }) => `${port} ${targetPort}`);
  const wanted = table?.forwards.map((item) => `${item.servicePort} ${item.listenPort}`) ?? [];
  if (ports.sort().join() !== wanted.sort().join())
    throw new Error(`invariant 5: the Service has ${ports.join()}, the table ${wanted.join()}`);
  const rules = (spec(cluster, "NetworkPolicy")["ingress"] as unknown[]).length;
  if (rules !== table?.forwards.length)
    throw new Error(`invariant 5: ${rules} rules, ${table?.forwards.length} forwards`);
};

const fateOf = (random: () => number, faults: number): Fate => {
  const draw = random();
  if (draw >= faults) return "go";
  return draw < faults * 0.1 ? "crash" : draw < faults * 0.55 ? "refuse" : "lose";
};

/** What to do with the chosen step: a call that is refused never happened, an answer that is lost did. */
const play = (gate: Gate, step: Step, fate: Fate, alive: number): void => {
  if (fate === "crash" && alive > 1) gate.crash(step.replica);
  else if (fate === "refuse" && !step.isAnswer) step.fail(fault(500));
  else if (fate === "lose" && step.isAnswer) step.fail(fault(0));
  else step.go();
};

const quiet = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export type Played = { readonly steps: number; readonly crashes: number };

/** Plays the schedule of a seed. Throws what does not hold. */
export const playSchedule = async (seed: number): Promise<Played> => {
  const random = seeded(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const cluster = createMemoryCluster({ now: () => 0 });
  const gate = new Gate();
  const told: Told = new Map();
  const replicas = 2 + Math.floor(random() * 2);
  const { signal } = new AbortController();
  const errors: Error[] = [];
  const provisionOf = (through: Cluster, pause: () => Promise<void>) =>
    createProvisioner(through, { scripts, now: () => 0, random, pause });
  for (let replica = 0; replica < replicas; replica += 1) {
    const provision = provisionOf(behind(cluster, gate, replica), () =>
      gate.hold(replica, false).catch(() => undefined),
    );
    const pods: Want[][] = Array.from({ length: 1 + Math.floor(random() * 3) }, () => [
      ...new Set([pick(POOL), pick(POOL)]),
    ]);
    for (const wants of pods) {
      provision({ config, gateway, wants, write: true, signal: () => signal }).then(
        (provisioned) => {
          try {
            record(told, provisioned);
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
    check(cluster, told);
  }
  if (faults === 0) checkConverged(cluster);
  record(
    told,
    await provisionOf(cluster, () => Promise.resolve())({
      config,
      gateway,
      wants: POOL,
      write: true,
      signal: () => signal,
    }),
  );
  check(cluster, told);
  checkConverged(cluster);
  return { steps, crashes: gate.dead.size };
};
