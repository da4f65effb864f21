/** Whether other processes have a newer config, and how this one gives way to them. */

/**
 * How long a process that had to leave a pod to another one is not ready: the API server's next tries then reach
 * others.
 */
const AWAY_MS = 30_000;

export type Standing = {
  /** `gateway`: `namespace/name`, as it was just read. */
  readonly note: (gateway: string, isBehind: boolean) => void;
  /** Another config than this process's made one of the gateways. */
  readonly isBehind: () => boolean;
  /** A pod was left to another process. */
  readonly giveWay: () => void;
  /** Why the process is not ready; undefined: it is. */
  readonly waitsFor: () => string | undefined;
  /** This process has another config from now on. */
  readonly reset: () => void;
};

/** `now`: milliseconds, monotonic. */
export const createStanding = (now: () => number): Standing => {
  const behind = new Set<string>();
  let awayUntil = -Infinity;
  return {
    note: (gateway, isBehind) => {
      if (isBehind) behind.add(gateway);
      else behind.delete(gateway);
    },
    isBehind: () => behind.size > 0,
    giveWay: () => {
      awayUntil = now() + AWAY_MS;
    },
    waitsFor: () =>
      behind.size > 0 && now() < awayUntil ? "a process with the config that made the gateways" : undefined,
    reset: () => {
      behind.clear();
    },
  };
};
