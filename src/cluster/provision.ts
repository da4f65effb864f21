import { setTimeout as sleep } from "node:timers/promises";
import type { Config, PlacedGateway } from "../core/config.ts";
import { allocate, type Forward, type Table, withStaticForwards } from "../core/forwards.ts";
import type { Scripts } from "../core/manifests.ts";
import type { Want } from "../core/plan.ts";
import type { Rejection } from "../core/reasons.ts";
import type { Assignment } from "../core/target.ts";
import { dnsName } from "../core/words.ts";
import { type Cluster, ClusterError, deadlineExceeded, isConflict, isTransient } from "./cluster.ts";
import {
  type Applied,
  converge,
  type ConvergeEvents,
  type GatewayObjects,
  readGateway,
  tableOf,
  wakeKubelet,
  writeTableObject,
} from "./gateway-objects.ts";

/** An assignment that the table backs, or why there is none. Failed I/O is a ClusterError. */
export type Provisioned = { readonly kind: "assigned"; readonly assignments: readonly Assignment[] } | Rejection;

export type Request = {
  readonly config: Config;
  readonly gateway: PlacedGateway;
  readonly wants: readonly Want[];
  /** False (dry run, audit): nothing is written; a new target is allocated in a copy that is thrown away. */
  readonly write: boolean;
  readonly signal: AbortSignal;
};

export type Provisioner = (request: Request) => Promise<Provisioned>;

export type ProvisionEvents = ConvergeEvents & {
  readonly conflict?: (gateway: PlacedGateway) => void;
  readonly table?: (gateway: PlacedGateway, table: Table) => void;
  readonly omitted?: (gateway: PlacedGateway, forwards: readonly string[]) => void;
};

export type ProvisionOptions = {
  readonly scripts: Scripts;
  readonly events?: ProvisionEvents;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
  readonly random?: () => number;
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
};

/** How old a cached table may be. The sweep waits longer than this between marking a forward and removing it. */
export const CACHE_MS = 30_000;
const MAX_ATTEMPTS = 12;

type Job = Request & { readonly settle: (result: Provisioned) => void; readonly fail: (error: unknown) => void };
/** One gateway's work in this process: what it knows, what waits, what it applied. */
type Lane = {
  known?: { config: Config; table: Table; readAt: number };
  queue: Job[];
  isBusy: boolean;
  applied: Applied;
};

/**
 * Makes the function that gives targets their forwards. Warm (all targets in a table read at most 30 s ago, with the gateway
 * complete): no API call. Cold: the objects are read, the new forwards of all who wait are written in one write of the table,
 * and Service, Deployment and NetworkPolicy follow it before anybody is answered. Replicas meet at the table's
 * `resourceVersion`: who loses reads and allocates again.
 */
export const createProvisioner = (cluster: Cluster, options: ProvisionOptions): Provisioner => {
  const { scripts, events = {}, now = () => performance.now(), random = Math.random, pause = defaultPause } = options;
  const lanes = new Map<string, Lane>();

  const attempt = async (lane: Lane, jobs: readonly Job[], signal: AbortSignal): Promise<readonly Provisioned[]> => {
    const [first] = jobs;
    if (first === undefined) return [];
    const { config, gateway } = first;
    const readAt = now();
    const objects = await readGateway(cluster, gateway, signal);
    const state = allocateAll(objects, jobs, (omitted) => events.omitted?.(gateway, omitted));
    if (state.kind === "reject") return jobs.map(() => state);
    if (state.results.some((result) => result.kind === "assigned")) {
      await write(lane, { config, gateway, table: state.table, isNew: state.isNew }, objects, signal);
      lane.known = { config, table: state.table, readAt };
      events.table?.(gateway, state.table);
    }
    return state.results;
  };

  const write = async (
    lane: Lane,
    { config, gateway, table, isNew }: { config: Config; gateway: PlacedGateway; table: Table; isNew: boolean },
    objects: GatewayObjects,
    signal: AbortSignal,
  ): Promise<void> => {
    const desired = { gateway, table, scripts, podSelector: config.podSelector };
    const written = isNew ? await writeTableObject(cluster, gateway, table, objects, signal) : undefined;
    await Promise.all([
      converge(cluster, desired, objects, lane.applied, signal, events),
      written && wakeKubelet(cluster, gateway, written.metadata.resourceVersion ?? "", signal),
    ]);
  };

  const withRetries = async (lane: Lane, jobs: readonly Job[]): Promise<readonly Provisioned[]> => {
    const signal = whenAllAbort(jobs.map((job) => job.signal));
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await attempt(lane, jobs, signal);
      } catch (error) {
        const gateway = jobs[0]?.gateway;
        if (isConflict(error) && gateway !== undefined) events.conflict?.(gateway);
        if (attempts >= MAX_ATTEMPTS || !(isConflict(error) || isTransient(error))) throw error;
        await pause(delayMs(error, attempts, random()), signal);
      }
    }
  };

  const drain = async (lane: Lane): Promise<void> => {
    lane.isBusy = true;
    while (lane.queue.length > 0) {
      const waiting = lane.queue.splice(0);
      // After a config reload old and new requests may wait together; one write serves one config and kind.
      const [head] = waiting;
      const jobs = waiting.filter((job) => job.config === head?.config);
      lane.queue.push(...waiting.filter((job) => job.config !== head?.config));
      try {
        const results = await withRetries(lane, jobs);
        jobs.forEach((job, index) => job.settle(results[index] as Provisioned));
      } catch (error) {
        jobs.forEach((job) => job.fail(error));
      }
    }
    lane.isBusy = false;
  };

  const preview = async (request: Request): Promise<Provisioned> => {
    const objects = await readGateway(cluster, request.gateway, request.signal);
    const state = allocateAll(objects, [request]);
    return state.kind === "reject" ? state : (state.results[0] as Provisioned);
  };

  return async (request) => {
    const { gateway, config, wants, signal } = request;
    const key = `${gateway.namespace}/${gateway.name}`;
    const lane: Lane = lanes.get(key) ?? { queue: [], isBusy: false, applied: new Map() };
    lanes.set(key, lane);
    const known = lane.known;
    if (known !== undefined && known.config === config && now() - known.readAt <= CACHE_MS) {
      const warm = allocate(known.table, gateway, wants);
      if (warm.kind === "allocated" && warm.table === known.table) return assigned(request, warm.forwards);
    }
    if (!request.write) return await preview(request);
    const outcome = new Promise<Provisioned>((settle, fail) => lane.queue.push({ ...request, settle, fail }));
    if (!lane.isBusy) void drain(lane);
    return await orAbort(outcome, request, signal);
  };
};

type Round =
  | Rejection
  | {
      readonly kind: "round";
      readonly table: Table;
      /** Not what the API server has. */ readonly isNew: boolean;
      readonly results: readonly Provisioned[];
    };

/** Folds the requests over the table that was read; one that is refused changes nothing for the others. */
const allocateAll = (
  objects: GatewayObjects,
  requests: readonly Request[],
  onOmitted: (forwards: readonly string[]) => void = () => undefined,
): Round => {
  const read = tableOf(objects);
  const [first] = requests;
  if (read.kind === "reject" || first === undefined)
    return read.kind === "reject" ? read : { kind: "round", table: read.table, isNew: false, results: [] };
  const start = withStaticForwards(read.table, first.gateway);
  if (start.omitted.length > 0) onOmitted(start.omitted);
  let table = start.table;
  const results = requests.map((request): Provisioned => {
    const allocation = allocate(table, request.gateway, request.wants);
    if (allocation.kind === "reject") return allocation;
    table = allocation.table;
    return assigned(request, allocation.forwards);
  });
  return { kind: "round", table, isNew: table !== read.table || objects.table === undefined, results };
};

const assigned = ({ gateway, wants }: Request, forwards: readonly Forward[]): Provisioned => ({
  kind: "assigned",
  assignments: wants.flatMap(({ target }, index) => {
    const forward = forwards[index];
    return forward === undefined
      ? []
      : [{ target, forward: forward.name, host: dnsName(gateway), port: forward.servicePort }];
  }),
});

/** Exponential with full jitter (10 ms doubling to 1 s), or what the API server asks for. */
const delayMs = (error: unknown, attempts: number, random: number): number =>
  (error instanceof ClusterError ? error.retryAfterMs : undefined) ?? random * Math.min(1000, 10 * 2 ** attempts);

const defaultPause = (ms: number, signal: AbortSignal): Promise<unknown> =>
  sleep(ms, undefined, { signal, ref: false });

/** Aborts when the last of them has: a shared write goes on while anybody still waits for it. */
const whenAllAbort = (signals: readonly AbortSignal[]): AbortSignal => {
  const controller = new AbortController();
  let waiting = signals.length;
  const one = (): void => {
    waiting -= 1;
    if (waiting === 0) controller.abort();
  };
  for (const signal of signals) {
    if (signal.aborted) one();
    else signal.addEventListener("abort", one, { once: true });
  }
  return controller.signal;
};

const orAbort = (outcome: Promise<Provisioned>, { gateway }: Request, signal: AbortSignal): Promise<Provisioned> =>
  new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(
        deadlineExceeded("apply", { kind: "ConfigMap", namespace: gateway.namespace, name: gateway.name }, signal),
      );
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    outcome.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
