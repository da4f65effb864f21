import type { Config, PlacedGateway } from "../core/config/config.ts";
import type { Table } from "../core/forwards/table.ts";
import { type Scripts, tableName } from "../core/gateway/manifests.ts";
import { perObject } from "../core/memo.ts";
import type { Want } from "../core/plan.ts";
import { gatewayId } from "../core/names.ts";
import { type Cluster, isConflict, isTransient, orDeadline } from "../cluster/cluster.ts";
import { type Applied, converge, type ConvergeEvents, wakeKubelet } from "./converge.ts";
import { previewOf, type Provisioned, resultOf, type Round, roundOf, type Warm, warm } from "./round.ts";
import { type GatewayObjects, readGateway, writeTableObject } from "./objects.ts";
import { delayMs, sleepUnless, whenAllAbort } from "../cluster/waiting.ts";

export type Request = {
  readonly config: Config;
  readonly gateway: PlacedGateway;
  readonly wants: readonly Want[];
  /** False (dry run, audit): nothing is written; a new target is allocated in a copy that is thrown away. */
  readonly write: boolean;
  /** Asked for only when there is I/O to end. */
  readonly signal: () => AbortSignal;
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

type Waiting = Omit<Request, "signal"> & {
  readonly signal: AbortSignal;
  readonly settle: (result: Provisioned) => void;
  readonly fail: (error: unknown) => void;
};
/** `since`: the attempt that it was first served by. */
type Job = Waiting & { readonly since: number };
/** Jobs that one write of the table serves: one config, one gateway. */
type Batch = { readonly config: Config; readonly gateway: PlacedGateway; readonly jobs: readonly Job[] };
/** A gateway's objects, and when the reading began. */
type Read = { readonly objects: GatewayObjects; readonly readAt: number };
/** One gateway's work in this process: what it knows, what waits, what it applied. */
type Lane = {
  known?: { readonly config: Config; readonly readAt: number; readonly given: (wants: readonly Want[]) => Warm };
  queue: readonly Waiting[];
  isBusy: boolean;
  /** Why the last attempt failed, while it is being made again. */
  trouble?: unknown;
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

  const finish = async (lane: Lane, { config, gateway, jobs }: Batch, { objects, readAt }: Read): Promise<Round> => {
    const signal = endOf(jobs);
    const round = roundOf(
      objects,
      gateway,
      jobs.map(({ wants }) => wants),
    );
    if (round.kind !== "round" || round.results.every(({ kind }) => kind === "reject")) return round;
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
    lane.known = { config, readAt, given: perObject((wants) => warm(table, gateway, wants)) };
    events.table?.(gateway, table);
    return round;
  };

  /** Serves all who wait under this config, and until the table is written those who come meanwhile: one write for all. */
  const serve = async (lane: Lane, { config, gateway }: Waiting): Promise<void> => {
    let jobs: readonly Job[] = [];
    lane.trouble = undefined;
    for (let attempts = 1; ; attempts += 1) {
      jobs = [...jobs, ...take(lane, config, attempts)];
      try {
        const readAt = now();
        const objects = await readGateway(cluster, gateway, endOf(jobs));
        // The write is locked to what was read, so it serves those too who came during the reading.
        jobs = [...jobs, ...take(lane, config, attempts)];
        const round = await finish(lane, { config, gateway, jobs }, { objects, readAt });
        jobs.forEach((job, at) => job.settle(resultOf(round, at)));
        return;
      } catch (error) {
        if (isConflict(error)) events.conflict?.(gateway);
        const isHopeless = !(isConflict(error) || isTransient(error));
        const [over, left] = partition(jobs, ({ since }) => isHopeless || attempts - since >= MAX_ATTEMPTS - 1);
        over.forEach((job) => job.fail(error));
        if (left.length === 0) return;
        jobs = left;
        lane.trouble = error;
        await pause(delayMs(error, attempts, random()), endOf(jobs)).catch(() => undefined);
      }
    }
  };

  const drain = async (lane: Lane): Promise<void> => {
    lane.isBusy = true;
    // After a reload requests of the old config and of the new one may wait together.
    for (let [head] = lane.queue; head !== undefined; [head] = lane.queue) await serve(lane, head);
    lane.isBusy = false;
  };

  return async (request) => {
    const { gateway, config, wants } = request;
    const lane = laneOf(lanes, gateway);
    const { known } = lane;
    if (known?.config === config && now() - known.readAt <= CACHE_MS) {
      const given = known.given(wants);
      if (given !== "unknown") return given;
    }
    const signal = request.signal();
    if (!request.write) return previewOf(await readGateway(cluster, gateway, signal), gateway, wants);
    const outcome = new Promise<Provisioned>((settle, fail) => {
      lane.queue = [...lane.queue, { ...request, signal, settle, fail }];
    });
    if (!lane.isBusy) void drain(lane);
    const table = { kind: "ConfigMap", namespace: gateway.namespace, name: tableName(gateway) } as const;
    return await orDeadline(outcome, "apply", table, signal, () => lane.trouble);
  };
};

const endOf = (jobs: readonly Job[]): AbortSignal => whenAllAbort(jobs.map(({ signal }) => signal));

/** Takes those out of the queue who wait under this config. */
const take = (lane: Lane, config: Config, since: number): readonly Job[] => {
  const [taken, left] = partition(lane.queue, (waiting) => waiting.config === config);
  lane.queue = left;
  return taken.map((waiting) => ({ ...waiting, since }));
};

const partition = <T>(items: readonly T[], belongs: (item: T) => boolean): readonly [readonly T[], readonly T[]] => [
  items.filter(belongs),
  items.filter((item) => !belongs(item)),
];

const laneOf = (lanes: Map<string, Lane>, gateway: PlacedGateway): Lane => {
  const key = gatewayId(gateway);
  const known = lanes.get(key);
  if (known !== undefined) return known;
  const lane: Lane = { queue: [], isBusy: false, applied: new Map() };
  lanes.set(key, lane);
  return lane;
};
