/**
 * The turns of namespaces at the one thread of this process. The time that a namespace uses is counted. A namespace that
 * used little is served at once. Reviews of others wait, and one stage of them is done at a time. The namespace that
 * used the least comes first, and a review that arrives comes before the next stage.
 */
import type { Turn } from "../admit.ts";

/** Milliseconds that a namespace may use at once: many ordinary pods, or one costly stage. */
const FREE_MS = 20;
/** Of the time that passes, the part that is taken off what a namespace used. */
const SHARE = 0.2;
/** No more is held against a namespace: this much is forgiven within five seconds. */
const MOST_MS = 1000;
/** Short stages run together until so much time has passed: each round of the event loop costs some of its own. */
const SLICE_MS = 2;
/** Above this many namespaces those that owe nothing are dropped. */
const MANY_NAMESPACES = 1000;

export type Turns = {
  /** The turn of a review that came in a body of so many bytes. */
  readonly of: (namespace: string, bytes: number) => Turn;
};

type Waiting = {
  readonly bytes: number;
  readonly run: () => void;
  readonly refuse: (why: Error) => void;
};
type Used = { readonly ms: number; readonly at: number };

/**
 * `mostBytes`: of several reviews that wait. Beyond, the last one is refused of the namespace that holds the most, so the
 * bodies of others can still be read. `now`: milliseconds, monotonic.
 */
export const createTurns = (mostBytes: number, now: () => number = () => performance.now()): Turns => {
  const used = new Map<string, Used>();
  const queues = new Map<string, Waiting[]>();
  let [waiting, waitingBytes] = [0, 0];

  /** `at`: now, which costs as much to ask as the rest. */
  const owed = (namespace: string, at: number): number => {
    const before = used.get(namespace);
    return before === undefined ? 0 : Math.max(0, before.ms - SHARE * (at - before.at));
  };
  const dropPaid = (at: number): void => {
    for (const namespace of used.keys()) if (owed(namespace, at) === 0) used.delete(namespace);
  };
  const count = <T>(namespace: string, work: () => T): T => {
    const started = now();
    try {
      return work();
    } finally {
      const at = now();
      const ms = Math.min(MOST_MS, owed(namespace, at) + at - started);
      if (used.size >= MANY_NAMESPACES) dropPaid(at);
      used.set(namespace, { ms, at });
    }
  };

  /** Takes the first or the last of a namespace's; the namespace goes behind those that owe as much. */
  const takeFrom = (namespace: string, end: "shift" | "pop"): Waiting | undefined => {
    const queue = queues.get(namespace) ?? [];
    const taken = queue[end]();
    queues.delete(namespace);
    if (queue.length > 0) queues.set(namespace, queue);
    waiting -= 1;
    waitingBytes -= taken?.bytes ?? 0;
    return taken;
  };
  const bytesOf = (namespace: string): number =>
    (queues.get(namespace) ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
  const refuseLast = (): void => {
    const most = leastBy([...queues.keys()], (namespace) => -bytesOf(namespace)) as string;
    const why = new Error("too many bytes of reviews wait: ask again");
    takeFrom(most, "pop")?.refuse(Object.assign(why, { statusCode: 503 }));
  };
  const serve = (): void => {
    let at = now();
    const end = at + SLICE_MS;
    do {
      const served = at;
      const next = leastBy([...queues.keys()], (namespace) => owed(namespace, served));
      if (next !== undefined) takeFrom(next, "shift")?.run();
      at = now();
    } while (queues.size > 0 && at < end);
    if (queues.size > 0) setImmediate(serve);
  };
  const wait = <T>(namespace: string, bytes: number, stage: () => T): Promise<T> =>
    new Promise((resolve, refuse) => {
      const run = (): void => {
        resolve(new Promise((settle) => settle(count(namespace, stage))));
      };
      if (queues.size === 0) setImmediate(serve);
      const queue = queues.get(namespace) ?? [];
      queue.push({ bytes, run, refuse });
      queues.set(namespace, queue);
      waitingBytes += bytes;
      waiting += 1;
      while (waitingBytes > mostBytes && waiting > 1) refuseLast();
    });

  return {
    of: (namespace, bytes) => ({
      take: (stage) => (owed(namespace, now()) < FREE_MS ? count(namespace, stage) : wait(namespace, bytes, stage)),
      count: (work) => count(namespace, work),
    }),
  };
};

const leastBy = <Item>(items: readonly Item[], sizeOf: (item: Item) => number): Item | undefined => {
  let found: { readonly item: Item; readonly size: number } | undefined;
  for (const item of items) {
    const size = sizeOf(item);
    if (found === undefined || size < found.size) found = { item, size };
  }
  return found?.item;
};
