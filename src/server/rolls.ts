import type { Deployed } from "../provisioning/rolling.ts";

/** The gateways that further looks bring on: of several identities while they are changed, of one while it starts. */
export type Rolls = {
  readonly note: (gateway: string, deployed: Deployed) => void;
  /** Whether its first pod is yet to be ready. */
  readonly noteStart: (gateway: string, isStarting: boolean) => void;
  /** A further look brings a gateway on. */
  readonly isUnderWay: () => boolean;
};

/** A gateway that is not ready by then lacks something: a look at each interval is enough. */
const START_MS = 30_000;

/** `begun` is called when a gateway starts; `now`: milliseconds, monotonic. */
export const createRolls = (now: () => number, begun: () => void = () => undefined): Rolls => {
  const rolling = new Set<string>();
  /** Since when. */
  const starting = new Map<string, number>();
  return {
    note: (gateway, { due }) => {
      if (due > 0) rolling.add(gateway);
      else rolling.delete(gateway);
    },
    noteStart: (gateway, isStarting) => {
      if (!isStarting) starting.delete(gateway);
      else if (!starting.has(gateway)) {
        starting.set(gateway, now());
        begun();
      }
    },
    isUnderWay: () => rolling.size > 0 || [...starting.values()].some((since) => now() - since < START_MS),
  };
};
