/** Requests that wait in a lane: of pods, and of repairs of their gateway. */
import { whenAllAbort } from "../cluster/waiting.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import type { Asked, Provisioned } from "./attempt.ts";

export type Request = Asked & {
  readonly config: Config;
  readonly gateway: PlacedGateway;
  /**
   * False (dry run, audit): nothing is written, and no objection is asked for. A new target is allocated in a copy of
   * the table that is thrown away.
   */
  readonly write: boolean;
  /** The gateway is kept as it should be, without a pod that asks. One that has no table is not made for it. */
  readonly repair?: Repair;
  /** Asked for only when there is I/O to end. */
  readonly signal: () => AbortSignal;
};

/**
 * `config`: also where that replaces the gateway's pod, as when a config comes into force. `drift`: only changes and
 * deletions by others. Replicas of two configs may run side by side, and each would take back the pod of the other.
 */
export type Repair = "config" | "drift";

/** A request in the queue, with the two ends of its promise. */
export type Waiting = Omit<Request, "signal"> & {
  readonly signal: AbortSignal;
  readonly settle: (result: Provisioned) => void;
  readonly fail: (error: unknown) => void;
};

/** `since`: the attempt that it was first part of. */
export type Job = Waiting & { readonly since: number };

/** Ends their I/O when the last one's time is over. */
export const endOf = (jobs: readonly Job[]): AbortSignal => whenAllAbort(jobs.map(({ signal }) => signal));

/** The items that belong, and the others. */
export const partition = <T>(
  items: readonly T[],
  belongs: (item: T) => boolean,
): readonly [readonly T[], readonly T[]] => [items.filter(belongs), items.filter((item) => !belongs(item))];
