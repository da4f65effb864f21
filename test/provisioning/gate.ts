/** Holds the steps of several replicas on one cluster back, and lets them go one at a time. */
import { type Cluster, ClusterError } from "../../src/cluster/cluster.ts";
import { collected } from "../collected.ts";

type Fate = "go" | "refuse" | "lose" | "crash";
type Step = {
  readonly replica: number;
  readonly go: () => void;
  readonly fail: (error: Error) => void;
  readonly isAnswer: boolean;
};

/** Holds steps back until the schedule lets one go. */
export class Gate {
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
export const behind = (cluster: Cluster, gate: Gate, replica: number): Cluster => {
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
    delete: (object, signal) => held(() => cluster.delete(object, signal)),
    apply: (object, signal, manager) => held(() => cluster.apply(object, signal, manager)),
    update: (object, signal) => held(() => cluster.update(object, signal)),
    livePods: async function* (selector, signal) {
      yield* await held(() => collected(cluster.livePods(selector, signal)));
    },
  };
};

export const fateOf = (random: () => number, faults: number): Fate => {
  const draw = random();
  if (draw >= faults) return "go";
  return draw < faults * 0.1 ? "crash" : draw < faults * 0.55 ? "refuse" : "lose";
};

/** The fate of the chosen step: a refused call changed nothing, a lost answer belongs to a call that took effect. */
export const play = (gate: Gate, step: Step, fate: Fate, alive: number): void => {
  if (fate === "crash" && alive > 1) gate.crash(step.replica);
  else if (fate === "refuse" && !step.isAnswer) step.fail(fault(500));
  else if (fate === "lose" && step.isAnswer) step.fail(fault(0));
  else step.go();
};

export const quiet = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
