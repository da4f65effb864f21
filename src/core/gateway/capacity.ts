/** The content of the socat container's memory, in MiB. Each listener and each session is a process. */

/** A listener is a socat process: 0.8 to 0.9 private with Debian's socat, of which 0.4 are libcrypto's relocations (measured). */
const LISTENER = 1;
/** A session is a fork of its listener: 56 to 190 kB (measured). */
const SESSION = 0.2;
/** The shell, the resolver's look-ups, and the container's files in memory. */
const REST = 64;
/** Sessions that the default limit holds at once beside all listeners. */
const SESSIONS = 2000;
/** Fewer are no gateway: a config whose limit holds less is refused. */
const LEAST_SESSIONS = 250;
/** Of the sessions, how many one port may have: three clients that open all they can leave a tenth to the others. */
const SHARE = 0.3;

const memoryOf = (forwards: number, sessions: number): number => REST + forwards * LISTENER + sessions * SESSION;

/** The limit where the config says nothing: every forward of `maxForwards` listens, and there are 2,000 sessions. */
export const defaultMemory = (maxForwards: number): number => memoryOf(maxForwards, SESSIONS);

/** The smallest limit with which `maxForwards` forwards listen. */
export const leastMemory = (maxForwards: number): number => memoryOf(maxForwards, LEAST_SESSIONS);

/** How many sessions one port may have at once, so that who opens more does not take the memory of the other ports. */
export const sessionsOfOnePort = (limit: number, maxForwards: number): number =>
  Math.floor(((limit - memoryOf(maxForwards, 0)) / SESSION) * SHARE);

const MIB = 2 ** 20;
const UNITS: Readonly<Record<string, number>> = {
  ...{ "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  ...{ Ki: 2 ** 10, Mi: MIB, Gi: 2 ** 30, Ti: 2 ** 40 },
};

/** `limits.memory` of a container's resources in MiB; undefined where there is none, or none that is plain (Kubernetes checks it). */
export const memoryLimit = (resources: Readonly<Record<string, unknown>>): number | undefined => {
  const { memory } = { ...(resources["limits"] as { readonly memory?: unknown } | undefined) };
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)(k|[KMGT]i|[MGT])?$/.exec(String(memory)) ?? [];
  const scale = UNITS[unit];
  return number === undefined || scale === undefined ? undefined : Math.ceil((Number(number) * scale) / MIB);
};
