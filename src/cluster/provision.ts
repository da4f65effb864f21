import type { Config, PlacedGateway } from "../core/config.ts";
import { allocate, type Given, type Table, withStaticForwards } from "../core/forwards.ts";
import { type Scripts, tableName } from "../core/manifests.ts";
import type { Want } from "../core/plan.ts";
import type { Rejection } from "../core/reasons.ts";
import type { Assignment } from "../core/target.ts";
import { dnsName } from "../core/words.ts";
import { type Cluster, isConflict, isTransient, orDeadline } from "./cluster.ts";
import { type Applied, converge, type ConvergeEvents, wakeKubelet } from "./converge.ts";
import { type GatewayObjects, readGateway, tableOf, writeTableObject } from "./gateway-objects.ts";
import { delayMs, sleepUnless, whenAllAbort } from "./waiting.ts";

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
/** Jobs that one write of the table serves: one config, one gateway. */
type Batch = { readonly config: Config; readonly gateway: PlacedGateway; readonly jobs: readonly Job[] };
/** One gateway's work in this process: what it knows, what waits, what it applied. */
type Lane = {
  known?: { readonly config: Config; readonly table: Table; readonly readAt: number };
  queue: Job[];
  isBusy: boolean;
  readonly applied: Applied;
};

/**
 * Makes the function that gives targets their forwards. Warm (all targets in a table read at most 30 s ago, with the gateway
 * complete): no API call. Cold: the objects are read, the new forwards of all who wait are written in one write of the table,
 * and Service, Deployment and NetworkPolicy follow it before anybody is answered. Replicas meet at the table's
 * `resourceVersion`: who loses reads and allocates again.
 */
export const createProvisioner = (cluster: Cluster, options: ProvisionOptions): Provisioner => {
  const { scripts, events = {}, now = () => performance.now(), random = Math.random, pause = sleepUnless } = options;
  const lanes = new Map<string, Lane>();

  const attempt = async (lane: Lane, { config, gateway, jobs }: Batch, signal: AbortSignal): Promise<Round> => {
    const readAt = now();
    const objects = await readGateway(cluster, gateway, signal);
    const round = allocateAll(objects, gateway, jobs);
    if (round.kind === "reject" || round.results.every(({ result }) => result.kind === "reject")) return round;
    const { table } = round;
    if (round.omitted.length > 0) events.omitted?.(gateway, round.omitted);
    const written = round.isNew ? await writeTableObject(cluster, gateway, table, objects, signal) : undefined;
    await Promise.all([
      converge(
        cluster,
        { gateway, table, scripts, podSelector: config.podSelector },
        objects,
        lane.applied,
        signal,
        events,
      ),
      written && wakeKubelet(cluster, gateway, written, signal),
    ]);
    lane.known = { config, table, readAt };
    events.table?.(gateway, table);
    return round;
  };

  const withRetries = async (lane: Lane, batch: Batch): Promise<Round> => {
    const signal = whenAllAbort(batch.jobs.map((job) => job.signal));
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await attempt(lane, batch, signal);
      } catch (error) {
        if (isConflict(error)) events.conflict?.(batch.gateway);
        if (attempts >= MAX_ATTEMPTS || !(isConflict(error) || isTransient(error))) throw error;
        await pause(delayMs(error, attempts, random()), signal);
      }
    }
  };

  const serve = async (lane: Lane, batch: Batch): Promise<void> => {
    try {
      const round = await withRetries(lane, batch);
      if (round.kind === "reject") batch.jobs.forEach((job) => job.settle(round));
      else round.results.forEach(({ request, result }) => request.settle(result));
    } catch (error) {
      batch.jobs.forEach((job) => job.fail(error));
    }
  };

  const drain = async (lane: Lane): Promise<void> => {
    lane.isBusy = true;
    for (let [head] = lane.queue; head !== undefined; [head] = lane.queue) {
      // After a reload requests of the old config and of the new one may wait together.
      const { config, gateway } = head;
      const jobs = lane.queue.filter((job) => job.config === config);
      lane.queue = lane.queue.filter((job) => job.config !== config);
      await serve(lane, { config, gateway, jobs });
    }
    lane.isBusy = false;
  };

  return async (request) => {
    const { gateway, config, wants, signal } = request;
    const lane = laneOf(lanes, gateway);
    const { known } = lane;
    if (known?.config === config && now() - known.readAt <= CACHE_MS) {
      const warm = allocate(known.table, gateway, wants);
      if (warm.kind === "allocated" && warm.table === known.table) return assigned(gateway, warm.given);
    }
    if (!request.write) return previewOf(await readGateway(cluster, gateway, signal), gateway, wants);
    const outcome = new Promise<Provisioned>((settle, fail) => lane.queue.push({ ...request, settle, fail }));
    if (!lane.isBusy) void drain(lane);
    return await orDeadline(
      outcome,
      "apply",
      { kind: "ConfigMap", namespace: gateway.namespace, name: tableName(gateway) },
      signal,
    );
  };
};

const laneOf = (lanes: Map<string, Lane>, { namespace, name }: PlacedGateway): Lane => {
  const key = `${namespace}/${name}`;
  const lane = lanes.get(key) ?? { queue: [], isBusy: false, applied: new Map() };
  lanes.set(key, lane);
  return lane;
};

type Round =
  | Rejection
  | {
      readonly kind: "round";
      readonly table: Table;
      /** Not what the API server has. */
      readonly isNew: boolean;
      readonly results: readonly { readonly request: Job; readonly result: Provisioned }[];
      /** Static forwards that cannot be had. */
      readonly omitted: readonly string[];
    };

/** Folds the requests over the table that was read; one that is refused changes nothing for the others. */
const allocateAll = (objects: GatewayObjects, gateway: PlacedGateway, requests: readonly Job[]): Round => {
  const read = tableOf(objects);
  if (read.kind === "reject") return read;
  const start = withStaticForwards(read.table, gateway);
  let { table } = start;
  const results = requests.map((request) => {
    const allocation = allocate(table, gateway, request.wants);
    if (allocation.kind === "reject") return { request, result: allocation };
    table = allocation.table;
    return { request, result: assigned(gateway, allocation.given) };
  });
  return {
    kind: "round",
    table,
    isNew: table !== read.table || objects.table === undefined,
    results,
    omitted: start.omitted,
  };
};

/** What the answer would be; the allocation is thrown away. */
const previewOf = (objects: GatewayObjects, gateway: PlacedGateway, wants: readonly Want[]): Provisioned => {
  const read = tableOf(objects);
  if (read.kind === "reject") return read;
  const allocation = allocate(withStaticForwards(read.table, gateway).table, gateway, wants);
  return allocation.kind === "reject" ? allocation : assigned(gateway, allocation.given);
};

const assigned = (gateway: PlacedGateway, given: readonly Given[]): Provisioned => {
  const host = dnsName(gateway);
  return {
    kind: "assigned",
    assignments: given.map(({ target, forward }) => ({
      target,
      forward: forward.name,
      host,
      port: forward.servicePort,
    })),
  };
};
