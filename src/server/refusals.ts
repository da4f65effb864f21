/** Refusals that come again and again: a controller tries a refused pod for as long as it wants one. */
import type { ReasonCode } from "../core/reasons.ts";
import type { Review } from "./review.ts";

/** A refusal of the same owner for the same reason is one line of the log in this time, in milliseconds. */
const QUIET_MS = 10 * 60_000;
/** Owners that are remembered; the longest ago are forgotten first. */
const MOST = 1000;

type Refusals = {
  /**
   * How often the same refusal has come since its last line; `undefined`: it had a line a short time ago. A pod that
   * nothing makes is refused once, and always has its line.
   */
  readonly seen: (review: Pick<Review, "namespace" | "owner">, reason: ReasonCode) => number | undefined;
};

export const createRefusals = (now: () => number = Date.now): Refusals => {
  const told = new Map<string, { at: number; since: number }>();
  return {
    seen: ({ namespace, owner }, reason) => {
      if (owner === undefined) return 0;
      const key = JSON.stringify([namespace, owner.uid, reason]);
      const last = told.get(key);
      if (last !== undefined && now() - last.at < QUIET_MS) {
        last.since += 1;
        return undefined;
      }
      told.delete(key);
      told.set(key, { at: now(), since: 0 });
      const [oldest] = told.keys();
      if (told.size > MOST && oldest !== undefined) told.delete(oldest);
      return last?.since ?? 0;
    },
  };
};
