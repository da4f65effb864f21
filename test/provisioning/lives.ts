/**
 * A schedule (gate.ts) of the lives of pods. An admission answers, and the pod is stored later or never, and is
 * deleted. The clock goes on. Two processes reconcile all the time: they mark, remove and delete forwards and Services
 * that no pod uses. Each address of a stored pod, and of one that is about to be stored, reaches its target by the
 * table.
 */
import { type Cluster, ClusterError, type KubeObject } from "../../src/cluster/cluster.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { createCensus } from "../../src/core/census.ts";
import { GATEWAY_LABEL, TARGET_LABEL_PREFIX } from "../../src/core/names.ts";
import { statusOf } from "../../src/core/status.ts";
import type { Assignment, Want } from "../../src/core/target.ts";
import { createProvisioner, type Provisioner } from "../../src/provisioning/provisioner.ts";
import { reconcileGateway } from "../../src/provisioning/reconcile.ts";
import { scripts, seeded } from "../making.ts";
import { behind, fateOf, Gate, play, quiet } from "./gate.ts";
import {
  checkInvariants,
  scheduleConfig,
  disturb,
  scheduleGateway as placed,
  type Handed,
  type Played,
  POOL,
  record,
  servicesIn,
  checkedTable,
} from "./schedule.ts";

/** Forwards are retained for no time. */
const gateway = { ...placed, retain: 1 };
/** How long the API server waits for an answer and then stores the pod, and how long a pass may take for a gateway. */
const LONGEST_MS = 30_000;

/** Longer than a mark must stand before its forward is removed. */
const LONG_MS = 240_000;

type Life = { readonly name: string; readonly assignments: readonly Assignment[]; isBorn: boolean };

export const playLives = async (seed: number): Promise<Played & { readonly removed: number }> => {
  const random = seeded(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  let clock = 1_000_000;
  const cluster = createMemoryCluster({ now: () => clock });
  const gate = new Gate();
  const disturbed = new Set<string>();
  const lives = new Set<Life>();
  const errors: Error[] = [];
  /** Works with an end in time: an admission, a pass, the birth of a pod. */
  const limits = new Set<{ readonly at: number; readonly end: () => void }>();
  let removed = 0;
  let count = 0;

  const limited = (end: () => void): (() => void) => {
    const limit = { at: clock + LONGEST_MS, end };
    limits.add(limit);
    return () => limits.delete(limit);
  };
  const goOn = (ms: number): void => {
    clock += ms;
    for (const limit of limits) {
      if (limit.at >= clock) continue;
      limits.delete(limit);
      limit.end();
    }
  };
  const lost = (_gateway: unknown, { name }: { readonly name: string }): void => {
    for (const life of lives) if (life.assignments.some(({ host }) => host.startsWith(`${name}.`))) lives.delete(life);
  };
  const provisionOf = (through: Cluster, pause: () => Promise<void>): Provisioner =>
    createProvisioner(through, { scripts, now: () => clock, random, pause, events: { addressLost: lost } });

  const podOf = ({ name, assignments }: Life): KubeObject => {
    const labels = Object.fromEntries(assignments.map(({ forward }) => [`${TARGET_LABEL_PREFIX}${forward}`, "true"]));
    const status = JSON.stringify(statusOf(gateway, assignments, { env: [], unread: [] }, "test"));
    return {
      apiVersion: "v1",
      kind: "Pod",
      // The status is enough to know what a pod holds, and so are the labels.
      metadata: {
        name,
        namespace: "team-a",
        labels: { [GATEWAY_LABEL]: gateway.name, ...(random() < 0.7 && labels) },
        annotations: { "flowgen.io/gateway-status": status },
      },
    };
  };
  /** From the answer to the pod's birth, which comes in time or not at all. */
  const bear = async (assignments: readonly Assignment[]): Promise<void> => {
    const life: Life = { name: `pod-${++count}`, assignments, isBorn: false };
    lives.add(life);
    const inTime = limited(() => lives.delete(life));
    await gate.hold(-1, false);
    inTime();
    if (!lives.has(life)) return;
    life.isBorn = true;
    await cluster.create(podOf(life), new AbortController().signal);
  };
  const admission = async (provision: Provisioner, replica: number, wants: readonly Want[]): Promise<void> => {
    await gate.hold(replica, false);
    const controller = new AbortController();
    const over = limited(() => controller.abort());
    try {
      const provisioned = await provision({
        config: scheduleConfig,
        gateway,
        wants,
        write: true,
        signal: () => controller.signal,
      });
      if (provisioned.kind !== "assigned") throw new Error(JSON.stringify(provisioned));
      if (!controller.signal.aborted) void bear(provisioned.assignments);
    } finally {
      over();
    }
  };
  const pass = async (through: Cluster, provision: Provisioner): Promise<void> => {
    const listedAt = clock;
    const census = createCensus(scheduleConfig);
    const controller = new AbortController();
    for await (const pod of through.livePods(GATEWAY_LABEL, controller.signal)) census.add(pod);
    const over = limited(() => controller.abort());
    try {
      const parts = {
        cluster: through,
        provision,
        config: scheduleConfig,
        census,
        listedAt,
        now: () => clock,
        isDryRun: false,
      };
      const done = await reconcileGateway(parts, gateway, controller.signal);
      if (done.kind !== "reconciled") throw new Error(JSON.stringify(done));
      removed += done.removed.length;
    } finally {
      over();
    }
  };
  const start = (work: () => Promise<void>): Promise<void> =>
    work().catch((error: unknown) => {
      if (!(error instanceof ClusterError)) errors.push(error as Error);
    });

  const replicas = 3 + Math.floor(random() * 2);
  const isReconciler = (replica: number): boolean => replica < 2;
  for (let replica = 0; replica < replicas; replica += 1) {
    const through = behind(cluster, gate, replica);
    const provision = provisionOf(through, () => gate.hold(replica, false).catch(() => undefined));
    const works = Array.from({ length: isReconciler(replica) ? 8 : 10 }, () => () => {
      if (isReconciler(replica)) return gate.hold(replica, false).then(() => pass(through, provision));
      return admission(provision, replica, [...new Set([pick(POOL), pick(POOL)])]);
    });
    void works.reduce((before, work) => before.then(() => start(work)), Promise.resolve());
  }

  const faults = pick([0, 0.02, 0.1]);
  let steps = 0;
  const held = (): Handed => {
    const handed: Handed = new Map();
    for (const { assignments } of lives) record(handed, { kind: "assigned", assignments });
    return handed;
  };
  await quiet();
  for (; gate.waiting.length > 0; steps += 1) {
    if (steps > 20_000) throw new Error("it does not end");
    const [step] = gate.waiting.splice(Math.floor(random() * gate.waiting.length), 1);
    if (step?.replica === -1) step.go();
    else if (step !== undefined) play(gate, step, fateOf(random, faults), replicas - gate.dead.size);
    await quiet();
    // Most works end in time; those that are under way when a long time passes are cut short.
    if (random() < 0.1) goOn(pick([200, 1000, 3000]));
    if (random() < 0.006) goOn(pick([LONGEST_MS, LONG_MS]));
    const born = [...lives].filter(({ isBorn }) => isBorn);
    if (random() < 0.01 && born.length > 0) {
      const life = pick(born);
      lives.delete(life);
      cluster.remove({ kind: "Pod", namespace: "team-a", name: life.name });
    }
    await quiet();
    if (errors[0] !== undefined) throw errors[0];
    const deleted = random() < 0.01 ? disturb(cluster, random) : undefined;
    if (deleted !== undefined) disturbed.add(deleted);
    checkInvariants(cluster, held(), disturbed);
  }
  const during = removed;
  // Without pods only the forwards of the config stay.
  for (const life of lives) cluster.remove({ kind: "Pod", namespace: "team-a", name: life.name });
  const provision = provisionOf(cluster, () => Promise.resolve());
  for (let passes = 0; passes < 3; passes += 1) {
    goOn(LONG_MS);
    await pass(cluster, provision);
  }
  const table = checkedTable(cluster);
  const left = [
    ...(table?.forwards ?? []).filter(({ name }) => name !== "static").map(({ name }) => `the forward ${name}`),
    ...(table?.services ?? []).map(({ name }) => `the entry of ${name}`),
    ...servicesIn(cluster)
      .filter(({ metadata }) => metadata.name !== gateway.name)
      .map(({ metadata }) => `the Service ${metadata.name}`),
  ];
  if (left.length > 0) throw new Error(`no pod uses ${left.join()}`);
  return { steps, crashes: gate.dead.size, removed: during };
};
