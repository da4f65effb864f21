import { type KnownHosts, isWord } from "./known.ts";
import { portNames } from "./port-env.ts";
import { type Expanded, expand, hasReference, pieceOf } from "./reference.ts";
import { type How, type Sighting, sightingsIn } from "./sighting.ts";
import { charge, LONGEST_VALUE, type Work } from "./work.ts";
import type { EnvVar } from "../pod.ts";
import type { Span } from "./places/place.ts";

/** One reading of a held host: by its own env, or by one that refers to it. */
export type Read = { readonly env: number; readonly how: How };

/** A known host in an env's own text, as it is written there, with all that read it. */
export type Held = Span & {
  readonly env: number;
  readonly host: string;
  readonly reads: readonly Read[];
};

/** `host`: undefined where the value is too long to be read. */
export type Break = { readonly why: "joined" | "long"; readonly host: string | undefined };

export type ContainerReading = {
  readonly held: readonly Held[];
  /** Env that hold known hosts which no single env holds: put together from several, or in a value that is too long. */
  readonly broken: ReadonlyMap<number, readonly Break[]>;
  /** Env that would be the port of a host that stands alone. */
  readonly portNames: ReadonlySet<string>;
};

/** Readings of containers, by their env as they stand in the pod. */
export type Readings = ReadonlyMap<readonly EnvVar[], ContainerReading>;

/** Remarks about a container's env, besides those about their text. */
export type EnvRules = {
  /** Env that an annotation sets: the port that is meant beside one that is a host. */
  readonly portOf: (name: string) => number | undefined;
  /** True for env that are never looked at. */
  readonly isSkipped: (name: string) => boolean;
};

type HeldDraft = { -readonly [Key in keyof Omit<Held, "reads">]: Held[Key] } & { readonly reads: Read[] };

/** The env of one container while it is read. */
type View = {
  readonly env: readonly EnvVar[];
  readonly known: KnownHosts;
  readonly work: Work;
  readonly texts: (Expanded | undefined)[];
  readonly indexOf: Map<string, number>;
  /** By env: the sightings in it that some env's own text holds, by where they start. */
  readonly origins: Map<number, ReadonlyMap<number, HeldDraft>>;
  readonly held: HeldDraft[];
  readonly broken: Map<number, readonly Break[]>;
  readonly portNames: Set<string>;
};

const textOf = (view: View, { value = "", valueFrom }: EnvVar): Expanded | undefined => {
  if (valueFrom != null) return undefined;
  if (!value.includes("$") || value.length > LONGEST_VALUE) return { text: value, pieces: [] };
  const lookup = (name: string) => {
    const index = view.indexOf.get(name);
    const text = index === undefined ? undefined : view.texts[index]?.text;
    return index === undefined || text === undefined ? undefined : { env: index, text };
  };
  return expand(value, lookup, view.work);
};

/** The number in the env that pairs with a host env; the last of a name counts, as it does for Kubernetes. */
const pairedPort = (view: View, name: string): number | undefined => {
  for (const candidate of portNames(name)) {
    view.portNames.add(candidate);
    const index = view.indexOf.get(candidate);
    if (index === undefined) continue;
    const text = view.texts[index]?.text.trim() ?? "";
    return /^\d{1,5}$/.test(text) ? Number(text) : undefined;
  }
  return undefined;
};

const howIn = (view: View, name: string, how: How, rules: EnvRules): How => {
  const set = rules.portOf(name);
  if (set !== undefined) return { kind: "port", port: set };
  if (how.kind !== "alone") return how;
  if (name === "PGHOSTADDR") return { kind: "left", why: "numeric" };
  const port = pairedPort(view, name);
  return port === undefined ? how : { kind: "port", port };
};

const addBreak = ({ broken }: View, env: number, found: Break): void => {
  const before = broken.get(env) ?? [];
  if (!before.some(({ host }) => host === found.host)) broken.set(env, [...before, found]);
};

/**
 * Finds the env whose own text holds a sighting; undefined: none does, since it crosses from one env's text to
 * another's.
 */
const originOf = (view: View, env: number, sighting: Sighting): HeldDraft | undefined => {
  const expanded = view.texts[env] as Expanded;
  const piece = expanded.pieces.length === 0 ? undefined : pieceOf(expanded, sighting);
  if (expanded.pieces.length > 0 && piece === undefined) return undefined;
  if (piece?.env !== undefined) return view.origins.get(piece.env)?.get(sighting.start - piece.at);
  const shift = piece === undefined ? 0 : piece.from - piece.at;
  const made = { env, host: sighting.host, start: sighting.start + shift, end: sighting.end + shift, reads: [] };
  view.held.push(made);
  return made;
};

/**
 * A host that an env brings into a longer word of another, or between its brackets, cannot be replaced where it stands.
 */
const breakJoined = (view: View, env: number): void => {
  const { text, pieces } = view.texts[env] as Expanded;
  for (const { at, env: from } of pieces) {
    const brought = from === undefined ? undefined : view.origins.get(from);
    for (const [start, held] of brought ?? []) {
      if (!charge(view.work, 200)) return;
      if (view.origins.get(env)?.has(at + start)) continue;
      const span = { start: at + start, end: at + start + held.end - held.start };
      const isBracketed = held.host.includes(":") && text[span.start - 1] === "[" && text[span.start] !== "[";
      if (!isBracketed && isWord(text, span)) continue;
      held.reads.push({ env, how: { kind: "left", why: "joined" } });
      addBreak(view, env, { why: "joined", host: held.host });
    }
  }
};

/** The cost of reading an env that holds a host, besides its text. */
const ENV_WORK = 5000;

const readEnv = (view: View, env: number, name: string, rules: EnvRules): void => {
  const expanded = view.texts[env] as Expanded;
  if (!charge(view.work, ENV_WORK)) return;
  const origins = new Map<number, HeldDraft>();
  for (const sighting of sightingsIn(expanded.text, view.known, view.work)) {
    const origin = originOf(view, env, sighting);
    if (origin === undefined) addBreak(view, env, { why: "joined", host: sighting.host });
    else {
      origin.reads.push({ env, how: howIn(view, name, sighting.how, rules) });
      origins.set(sighting.start, origin);
    }
  }
  view.origins.set(env, origins);
  breakJoined(view, env);
};

const noReading: ContainerReading = { held: [], broken: new Map(), portNames: new Set() };

/**
 * Reads the env of one container: each known host in an env's own text, with how every env that brings it along reads
 * it.
 */
export const readContainer = (
  env: readonly EnvVar[],
  known: KnownHosts,
  rules: EnvRules,
  work: Work,
): ContainerReading => {
  if (!env.some(({ value }) => value !== undefined && (hasReference(value) || known.mayHold(value, work))))
    return noReading;
  const view: View = {
    env, known, work, texts: [], indexOf: new Map(), origins: new Map(), held: [], broken: new Map(), portNames: new Set(),
  }; // prettier-ignore
  const hot: number[] = [];
  for (const [index, each] of env.entries()) {
    const expanded = textOf(view, each);
    view.texts.push(expanded);
    view.indexOf.set(each.name, index);
    if (!charge(work, 100)) return noReading;
    if (expanded === undefined && each.valueFrom == null && known.mayHold(each.value as string, work))
      addBreak(view, index, { why: "long", host: undefined });
    else if (expanded !== undefined && known.mayHold(expanded.text, work)) hot.push(index);
  }
  for (const index of hot) {
    const { name } = env[index] as EnvVar;
    if (!rules.isSkipped(name)) readEnv(view, index, name, rules);
  }
  return { held: view.held, broken: view.broken, portNames: view.portNames };
};

/** The name of an env whose URL finds its servers by SRV records, so that no other host can be put there. */
export const srvEnv = ({ held }: ContainerReading, env: readonly EnvVar[]): string | undefined => {
  const isSrv = (index: number): boolean => /^\s*[a-z0-9.]+\+srv:\/\//i.test((env[index] as EnvVar).value as string);
  const reads = held.flatMap((each) => each.reads);
  const found = reads.find(({ env: index, how }) => how.kind === "left" && how.why === "srv" && isSrv(index));
  return found && env[found.env]?.name;
};
