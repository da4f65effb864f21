/**
 * One gateway's work in this process. A pod whose targets are all in the cached table is answered without a call of the API
 * server. Other pods wait in a queue: the gateway's objects are read, the new forwards of all that wait are written in one
 * write of the table, and the derived objects follow the table before a pod is answered.
 */
import { ClusterError, isConflict, isTransient, orDeadline } from "../cluster/cluster.ts";
import { delayMs, whenAllAbort } from "../cluster/waiting.ts";
import { type GatewayRef, isPlaced, namespacesIn } from "../core/config/choose.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { CACHE_MS } from "../core/forwards/retire.ts";
import type { Table } from "../core/forwards/table.ts";
import { tableName } from "../core/gateway/manifests.ts";
import { perObject } from "../core/memo.ts";
import type { Want } from "../core/target.ts";
import type { Applied } from "./applier.ts";
import { type Asked, assignedBy, assignmentsOf, attempt, previewsOf, type Provisioned, superseded } from "./attempt.ts";
import { type Intent, intentOf, type Stand } from "./intent.ts";
import { perform, type PerformEvents, type PerformParts } from "./perform.ts";
import { shutBy, withoutPolicies } from "./policies.ts";
import { createRecall } from "./recall.ts";
import { familiesOf, type GatewayObjects, isTableLost } from "./objects.ts";
import { readGateway, withTableNow } from "./reading.ts";

export type Request = Asked & {
  readonly config: Config;
  readonly gateway: PlacedGateway;
  /** False (dry run, audit): nothing is written, and no objection is asked for; a new target is allocated in a copy that is thrown away. */
  readonly write: boolean;
  /** The gateway is kept as it should be, whatever pods ask for; one that has no table is not made for it. */
  readonly repair?: Repair;
  /** Asked for only when there is I/O to end. */
  readonly signal: () => AbortSignal;
};

/**
 * `config`: also where that replaces the gateway's pod, as when a config comes into force. `drift`: only what others changed or deleted.
 * Replicas of two configs may run side by side, and each would take back the pod of the other.
 */
export type Repair = "config" | "drift";

export type LaneEvents = PerformEvents & {
  readonly conflict?: (gateway: PlacedGateway) => void;
  readonly table?: (gateway: PlacedGateway, table: Table) => void;
  /** Whether another config than the request's is in force; told each time that the gateway is read. */
  readonly standing?: (gateway: PlacedGateway, isBehind: boolean) => void;
};

export type LaneParts = PerformParts & {
  readonly events: LaneEvents;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly random: () => number;
  readonly pause: (ms: number, signal: AbortSignal) => Promise<unknown>;
};

export type Lane = {
  readonly join: (request: Request) => Promise<Provisioned>;
  /** Pods wait. */
  readonly isBusy: () => boolean;
  /** Nothing waits, and no pod asked for as long as a cached table is used. */
  readonly isIdle: () => boolean;
};

const MAX_ATTEMPTS = 12;
/** The pauses after lost races grow to 40 ms: who lost the most must not wait the longest. */
const MOST_GROWTH = 2;
/** After so many lost races in a row no race is likely: the pauses grow again, so that the API server is not hammered. */
const MOST_RACES = 12;

/** How long the objects of a lost race are taken to be as they were read; a write to one that has changed is refused. */
const RECENT_MS = 1000;

type Waiting = Omit<Request, "signal"> & {
  readonly signal: AbortSignal;
  readonly settle: (result: Provisioned) => void;
  readonly fail: (error: unknown) => void;
};
/** `since`: the attempt that it was first part of. */
type Job = Waiting & { readonly since: number };
/** A gateway's objects, when the reading of the table began, and of all others. */
type Reading = { readonly objects: GatewayObjects; readonly readAt: number; readonly objectsAt: number };
type Standing = { readonly ours: Intent; readonly stand: Stand };

export const createLane = (parts: LaneParts): Lane => {
  const { cluster, events, now, random, pause } = parts;
  const applied: Applied = new Map();
  const recall = createRecall(now);
  let queue: readonly Waiting[] = [];
  let isBusy = false;
  /** When a pod last did. */
  let askedAt = now();
  /** Why the last attempt failed, while it is made again. */
  let trouble: unknown;

  /** Takes the pods that wait under this config out of the queue. */
  const take = (config: Config, since: number): readonly Job[] => {
    const [taken, left] = partition(queue, (waiting) => waiting.config === config);
    queue = left;
    return taken.map((waiting) => ({ ...waiting, since }));
  };

  /** The intent of a config, and how it stands to the one that is in force. */
  const standing = ({ config, gateway }: Pick<Request, "config" | "gateway">, objects: GatewayObjects): Standing => {
    const ours = intentOf(config, gateway, parts.scripts);
    const stand = parts.intents.standOf({ config, gateway }, ours, objects.table);
    events.standing?.(gateway, stand === "behind");
    return { ours, stand };
  };

  const serveJobs = async (jobs: readonly Job[], { objects, readAt }: Reading): Promise<void> => {
    const [{ config, gateway }] = jobs as [Job];
    const { ours, stand } = standing({ config, gateway }, objects);
    const attempted = attempt(objects, gateway, jobs, stand);
    if (attempted.kind !== "attempt") {
      jobs.forEach(({ settle }) => settle(attempted));
      return;
    }
    const isMissing = objects.table === undefined;
    const isUntouched = (repair: Repair): boolean => !isTableLost(objects) && (isMissing || isLeft(repair, stand));
    if (jobs.every(({ repair }) => repair !== undefined && isUntouched(repair))) {
      jobs.forEach(({ settle, change }) =>
        settle(change && !isMissing ? superseded(gateway) : { kind: "assigned", assignments: [] }),
      );
      return;
    }
    const { results, isBehind } = attempted;
    const refused = results.every(({ kind }) => kind !== "given");
    const doing = { config, gateway, objects, ours, signal: endOf(jobs) };
    const isWritten = !refused && !isBehind;
    const unwritten = { table: attempted.table, refused: [] };
    const { table, refused: shutting } = isWritten ? await perform(parts, applied, attempted, doing) : unwritten;
    const shut = shutBy(shutting, objects.networkPolicies, gateway, config.podSelector);
    // The pods of a Deployment share their wants: found once for all that wait, and for those that the cache answers.
    const assignedIn = (from: Table) =>
      perObject((wants: readonly Want[]) => ({ found: assignedBy(from, gateway, wants) }));
    const assigned = assignedIn(table);
    if (!refused) {
      const open = withoutPolicies(table, shutting);
      recall.keepTable({ config, readAt, assignedBy: open === table ? assigned : assignedIn(open) });
      if (!isBehind) events.table?.(gateway, table);
    }
    jobs.forEach(({ wants, repair, settle, fail }, at) => {
      const result = results[at] as (typeof results)[number];
      const error = result.kind === "given" ? shut(result.given) : undefined;
      const [policy] = shutting;
      if (result.kind !== "given") settle(result);
      else if (error ?? (repair && policy)) fail(error ?? policy?.error);
      else
        settle(
          assigned(wants).found ?? {
            kind: "assigned",
            assignments: assignmentsOf(gateway, result.given, familiesOf(objects)),
          },
        );
    });
  };

  /** Reads the gateway. After a lost race (`lost`: its reading) only the table is read again, unless drift is looked for. */
  const read = async (jobs: readonly Job[], lost: Reading | undefined): Promise<Reading> => {
    const [{ config, gateway }] = jobs as [Job];
    const [readAt, signal] = [now(), endOf(jobs)];
    const isRecent = lost !== undefined && readAt - lost.objectsAt <= RECENT_MS;
    if (isRecent && jobs.every(({ repair }) => repair === undefined)) {
      const objects = await withTableNow(cluster, gateway, lost.objects, signal);
      // A lost table is made again of the lines that all Services carry now.
      if (objects.table !== undefined) return { ...lost, objects, readAt };
    }
    const former = {
      namespaces: namespacesIn(config).filter((namespace) => namespace !== gateway.namespace),
      isGateway: (place: GatewayRef) => isPlaced(config, place),
    };
    return { objects: await readGateway(cluster, gateway, signal, former), readAt, objectsAt: readAt };
  };

  /** Answers the pods for which nothing is written; returns the others. */
  const preview = (jobs: readonly Job[], { objects, readAt }: Reading): readonly Job[] => {
    const [writing, dry] = partition(jobs, ({ write }) => write);
    const [first] = dry;
    if (first === undefined) return writing;
    const { config, gateway } = first;
    const of = previewsOf(objects, gateway, standing({ config, gateway }, objects).stand);
    recall.keepPreviews({ config, readAt, of });
    dry.forEach(({ wants, settle }) => settle(of(wants)));
    return writing;
  };

  /** Serves the pods that wait under this config, and those that come until the table is written: one write for all. */
  const serveAll = async ({ config, gateway }: Waiting): Promise<void> => {
    let jobs: readonly Job[] = [];
    let lost: Reading | undefined;
    trouble = undefined;
    for (let attempts = 1; ; attempts += 1) {
      jobs = [...jobs, ...take(config, attempts)];
      let reading: Reading | undefined;
      try {
        reading = await read(jobs, lost);
        // The write is locked to the version that was read, so it may serve pods that came during the reading.
        jobs = preview([...jobs, ...take(config, attempts)], reading);
        if (jobs.length > 0) await serveJobs(jobs, reading);
        return;
      } catch (error) {
        if (isConflict(error)) events.conflict?.(gateway);
        const isHopeless = !(isConflict(error) || isTransient(error));
        const isLost = isConflict(error) && isTable(error, gateway);
        // A loser that reads only the table again is quicker than the winner, which has all the objects to make.
        lost = isLost ? reading : undefined;
        // A race that was lost is one that another replica won: only the pod's own time limits these.
        const [over, left] = partition(
          jobs,
          ({ since }) => isHopeless || (!isLost && attempts - since >= MAX_ATTEMPTS - 1),
        );
        over.forEach((job) => job.fail(error));
        if (left.length === 0) return;
        jobs = left;
        trouble = error;
        const grows = isLost ? Math.max(Math.min(attempts, MOST_GROWTH), attempts - MOST_RACES) : attempts;
        await pause(delayMs(error, grows, random()), endOf(jobs)).catch(() => undefined);
      }
    }
  };

  const drainQueue = async (): Promise<void> => {
    isBusy = true;
    // After a reload, pods of the former config and of the new one may wait together.
    for (let [head] = queue; head !== undefined; [head] = queue) await serveAll(head);
    isBusy = false;
  };

  const join: Lane["join"] = async (request) => {
    const { gateway, write, repair } = request;
    if (repair === undefined) {
      askedAt = now();
      const answered = recall.answer(request);
      if (answered !== undefined) return answered;
    }
    const signal = request.signal();
    const answer = new Promise<Provisioned>((settle, fail) => {
      queue = [...queue, { ...request, signal, settle, fail }];
    });
    if (!isBusy) void drainQueue();
    const ref = { kind: "ConfigMap", namespace: gateway.namespace, name: tableName(gateway) } as const;
    return await orDeadline(answer, write ? "apply" : "get", ref, signal, () => trouble);
  };

  return {
    join,
    isBusy: () => isBusy,
    isIdle: () => !isBusy && queue.length === 0 && now() - askedAt > CACHE_MS,
  };
};

const isTable = (error: unknown, gateway: PlacedGateway): boolean =>
  error instanceof ClusterError && error.ref.kind === "ConfigMap" && error.ref.name === tableName(gateway);

/** Only a config that came to this process may take the place of another one; drift is repaired as the one in force has it. */
const isLeft = (repair: Repair, stand: Stand): boolean => stand === "behind" || (repair === "drift" && stand === "due");

const endOf = (jobs: readonly Job[]): AbortSignal => whenAllAbort(jobs.map(({ signal }) => signal));

const partition = <T>(items: readonly T[], belongs: (item: T) => boolean): readonly [readonly T[], readonly T[]] => [
  items.filter(belongs),
  items.filter((item) => !belongs(item)),
];
