/**
 * One gateway's work in this process. A pod whose targets are all in the cached table is answered without a call of the
 * API server. Other pods wait in a queue, and share the rounds (round.ts) of reading and writing. A round that lost a
 * race, or met an error that may pass, is made again.
 */
import { ClusterError, isConflict, isTransient, orDeadline } from "../cluster/cluster.ts";
import { delayMs } from "../cluster/waiting.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { CACHE_MS } from "../core/forwards/retire.ts";
import { tableName } from "../core/gateway/manifests.ts";
import type { Provisioned } from "./attempt.ts";
import { createRecall } from "./recall.ts";
import { endOf, type Job, partition, type Request, type Waiting } from "./request.ts";
import type { Reading } from "./known.ts";
import { createRounds, type RoundEvents, type RoundParts } from "./round.ts";

export type LaneEvents = RoundEvents & {
  readonly conflict?: (gateway: PlacedGateway) => void;
};

export type LaneParts = RoundParts & {
  readonly events: LaneEvents;
  readonly random: () => number;
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

export const createLane = (parts: LaneParts): Lane => {
  const { events, now, random, pause } = parts;
  const recall = createRecall(now);
  const rounds = createRounds(parts, recall);
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

  /** Serves the pods that wait under this config, and those that come until the table is written: one write for all. */
  const serveAll = async ({ config, gateway }: Waiting): Promise<void> => {
    let jobs: readonly Job[] = [];
    let lost: Reading | undefined;
    trouble = undefined;
    for (let attempts = 1; ; attempts += 1) {
      jobs = [...jobs, ...take(config, attempts)];
      let reading: Reading | undefined;
      try {
        reading = await rounds.read(jobs, lost);
        // The write is locked to the version that was read, so it may serve pods that came during the reading.
        jobs = rounds.preview([...jobs, ...take(config, attempts)], reading);
        await rounds.serve(jobs, reading);
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
