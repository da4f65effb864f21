/**
 * One round of a lane: the gateway's objects are read, and pods for which nothing is written are answered from them.
 * The new forwards of all others are written in one write of the table. The derived objects follow the table before a
 * pod is answered.
 */
import { type GatewayRef, isPlaced, namespacesIn } from "../core/config/choose.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import type { Table } from "../core/forwards/table.ts";
import { perObject } from "../core/memo.ts";
import type { Want } from "../core/target.ts";
import type { Applied } from "./applier.ts";
import { assignedBy, assignmentsOf, attempt, type Attempted, previewsOf, superseded } from "./attempt.ts";
import { type Intent, intentOf, type Stand } from "./intent.ts";
import { familiesOf, type GatewayObjects, isTableLost } from "./objects.ts";
import { createKnown, type Reading } from "./known.ts";
import { perform, type Performed, type PerformEvents, type PerformParts } from "./perform.ts";
import { shutBy, withoutPolicies } from "./policies.ts";
import { readGateway, withTableNow } from "./reading.ts";
import type { Recall } from "./recall.ts";
import { endOf, type Job, partition, type Repair } from "./request.ts";

export type RoundEvents = PerformEvents & {
  readonly table?: (gateway: PlacedGateway, table: Table) => void;
  /** Whether another config than the request's is in force; called each time that the gateway is read. */
  readonly standing?: (gateway: PlacedGateway, isBehind: boolean) => void;
};

export type RoundParts = PerformParts & {
  readonly events: RoundEvents;
};

/** The steps of a round, in their order. */
export type Rounds = {
  /** Reads the gateway. After a lost race (`lost`: its reading) only the table is read again, unless drift is looked for. */
  readonly read: (jobs: readonly Job[], lost: Reading | undefined) => Promise<Reading>;
  /** Answers the pods for which nothing is written; returns the others. */
  readonly preview: (jobs: readonly Job[], reading: Reading) => readonly Job[];
  /** Serves the others by one write of the table. */
  readonly serve: (jobs: readonly Job[], reading: Reading) => Promise<void>;
};

export const createRounds = (parts: RoundParts, recall: Recall): Rounds => {
  const { cluster, events, now } = parts;
  const applied: Applied = new Map();

  const known = createKnown();

  const read: Rounds["read"] = async (jobs, lost) => {
    const [{ config, gateway }] = jobs as [Job];
    const [readAt, signal] = [now(), endOf(jobs)];
    const isBeside = known.isBeside(readAt, lost !== undefined);
    const recent = known.since(config, readAt, lost);
    if (recent !== undefined && jobs.every(({ repair }) => repair === undefined)) {
      const objects = await withTableNow(cluster, gateway, recent.objects, signal);
      // A lost table is made again of the lines that all Services carry now.
      if (objects.table !== undefined) return { ...recent, objects, readAt, isBeside };
    }
    const former = {
      namespaces: namespacesIn(config).filter((namespace) => namespace !== gateway.namespace),
      isGateway: (place: GatewayRef) => isPlaced(config, place),
    };
    const objects = await readGateway(cluster, gateway, signal, former);
    return { objects, readAt, objectsAt: readAt, isBeside };
  };

  /** The intent of the jobs' config, and how it stands to the one that is in force. */
  const standing = ([{ config, gateway }]: readonly [Job, ...Job[]], objects: GatewayObjects): Standing => {
    const ours = intentOf(config, gateway, parts.scripts);
    const stand = parts.intents.standOf({ config, gateway }, ours, objects.table);
    events.standing?.(gateway, stand === "behind");
    return { ours, stand };
  };

  const preview: Rounds["preview"] = (jobs, { objects, readAt }) => {
    const [writing, dry] = partition(jobs, ({ write }) => write);
    if (!isFilled(dry)) return writing;
    const [{ config, gateway }] = dry;
    const of = previewsOf(objects, gateway, standing(dry, objects).stand);
    recall.keepPreviews({ config, readAt, of });
    dry.forEach(({ wants, settle }) => settle(of(wants)));
    return writing;
  };

  const serve: Rounds["serve"] = async (jobs, reading) => {
    if (!isFilled(jobs)) return;
    const [{ gateway }] = jobs;
    const { objects } = reading;
    const stands = standing(jobs, objects);
    const attempted = attempt(objects, gateway, jobs, stands.stand);
    if (attempted.kind !== "attempt") jobs.forEach(({ settle }) => settle(attempted));
    else if (jobs.every((job) => isUntouched(job, objects, stands.stand))) leave(jobs, objects);
    else answer(jobs, reading, attempted, await written(jobs, reading, attempted, stands));
  };

  /** The next round begins with the objects that this one has made. After any error but a lost race it reads all. */
  const written = async (
    jobs: readonly [Job, ...Job[]],
    reading: Reading,
    attempted: Attempted,
    stands: Standing,
  ): Promise<Performed> => {
    known.forget();
    const performed = await write(jobs, reading, attempted, stands);
    known.keep(jobs[0], reading, performed.objects);
    return performed;
  };

  /** Writes what the attempt gave; nothing where every pod was refused, or another config is in force. */
  const write = async (
    jobs: readonly [Job, ...Job[]],
    { objects, isBeside }: Reading,
    attempted: Attempted,
    { ours }: Standing,
  ): Promise<Performed> => {
    const [{ config, gateway }] = jobs;
    if (!isAnyGiven(attempted) || attempted.isBehind)
      return { table: attempted.table, recorded: attempted.table, refused: [], objects };
    const led = jobs.flatMap(({ wants }) => wants.filter(isLed));
    return await perform(parts, applied, attempted, {
      config,
      gateway,
      objects,
      isBeside,
      ours,
      isHeld: ({ tunnel, host }) => led.some((want) => want.tunnel === tunnel && want.target.host === host),
      signal: endOf(jobs),
    });
  };

  /** Keeps what was written for the pods that come next, and answers those that wait. */
  const answer = (
    jobs: readonly [Job, ...Job[]],
    { objects, readAt }: Reading,
    attempted: Attempted,
    { table, recorded, refused: shutting }: Performed,
  ): void => {
    const [{ config, gateway }] = jobs;
    const { results, isBehind } = attempted;
    const shut = shutBy(shutting, objects.networkPolicies, gateway, config.podSelector);
    // The pods of a Deployment share their wants: found once for all that wait, and for those that the cache answers.
    const assignedIn = (from: Table) =>
      perObject((wants: readonly Want[]) => ({ found: assignedBy(from, gateway, wants) }));
    const assigned = assignedIn(table);
    if (isAnyGiven(attempted)) {
      const open = withoutPolicies(table, shutting);
      const byName = open === table ? assigned : assignedIn(open);
      const byAddress = recorded === table ? byName : assignedIn(withoutPolicies(recorded, shutting));
      recall.keepTable({ config, readAt, assignedBy: (wants) => (wants.some(isLed) ? byAddress : byName)(wants) });
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

  return { read, preview, serve };
};

type Standing = { readonly ours: Intent; readonly stand: Stand };

const isFilled = (jobs: readonly Job[]): jobs is readonly [Job, ...Job[]] => jobs.length > 0;

/** Whether the pod's hostAliases will hold the address of the host's Service. */
const isLed = ({ names }: Want): boolean => names.length > 0;

const isAnyGiven = ({ results }: Attempted): boolean => results.some(({ kind }) => kind === "given");

/** Whether a job is a repair for which nothing is done. */
const isUntouched = ({ repair }: Job, objects: GatewayObjects, stand: Stand): boolean =>
  repair !== undefined && !isTableLost(objects) && (objects.table === undefined || isLeft(repair, stand));

/** Only a config that came to this process may take the place of another one; drift is repaired as the one in force has it. */
const isLeft = (repair: Repair, stand: Stand): boolean => stand === "behind" || (repair === "drift" && stand === "due");

/** Answers repairs of a gateway that is left as it is. */
const leave = (jobs: readonly Job[], { table }: GatewayObjects): void =>
  jobs.forEach(({ gateway, change, settle }) =>
    settle(change && table !== undefined ? superseded(gateway) : { kind: "assigned", assignments: [] }),
  );
