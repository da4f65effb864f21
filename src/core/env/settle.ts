import { type ContainerReading, type EnvRules, type Held, readContainer, type Readings, srvEnv } from "./container.ts";
import type { KnownHosts } from "./known.ts";
import { type Note, noteOf, isDialed, verdictOf } from "./verdict.ts";
import { charge, isSpent, type Work } from "./work.ts";
import { applyEdits, type Edit, inOrder } from "../edit.ts";
import type { EnvVar } from "../pod.ts";
import type { Assignment } from "../target.ts";

/** The assignments of a host by its ports: several of one port where several tunnels have the address. */
export type Route = {
  /** It is an address of the table already, so it stays. */
  readonly isAssigned: boolean;
  readonly to: ReadonlyMap<number, readonly Assignment[]>;
  /** Ports beside the host that are right: those of `to`, and those at which hostAliases serve it. */
  readonly ports: ReadonlySet<number>;
};
export type Routes = {
  readonly known: KnownHosts;
  readonly hosts: ReadonlyMap<string, Route>;
  /** Those of the known hosts at which the table offers the targets. */
  readonly offered: KnownHosts;
};

/** A remark about an env and a host in it. */
export type Remark = { readonly name: string; readonly host: string; readonly note: Note };

/** `host`: of the target. `by`: the name of the env whose own text holds it, or the Service that an annotation sets. */
export type Dialed = { readonly host: string; readonly by: string };

/** One look at a container's env. */
type Look = {
  readonly edits: ReadonlyMap<number, readonly Edit[]>;
  /** The names of the env that they change. */
  readonly edited: ReadonlySet<string>;
  readonly remarks: readonly Remark[];
  readonly led: ReadonlySet<Assignment>;
  /** Names of env whose own text holds an assigned address. */
  readonly leading: ReadonlySet<string>;
};

/** `dialed`: filled by the look, where it is given. */
const lookAt = (
  env: readonly EnvVar[],
  { held, broken }: ContainerReading,
  { known, hosts }: Routes,
  dialed: Map<string, Dialed> | undefined,
): Look => {
  const edits = new Map<number, Edit[]>();
  const edited = new Set<string>();
  const remarks: Remark[] = [];
  const led = new Set<Assignment>();
  const leading = new Set<string>();
  const nameOf = (index: number): string => (env[index] as EnvVar).name;
  const say = (index: number, host: string, note: Note | undefined): unknown =>
    note && remarks.push({ name: nameOf(index), host, note });
  for (const [index, breaks] of broken)
    for (const { why, host = "" } of breaks) say(index, host, { kind: "left", why });
  for (const each of held) {
    const ports = known.ports.get(each.host) as ReadonlySet<number>;
    const route = hosts.get(each.host) as Route;
    for (const read of each.reads) say(read.env, each.host, noteOf(read, route.ports));
    const verdict = verdictOf(each, ports);
    if (verdict.kind === "stay") {
      if (verdict.why === "joined") say(each.env, each.host, { kind: "left", why: "joined" });
      continue;
    }
    const to = assignmentsOf(route, verdict.ports);
    const [{ host: name, target }] = to as readonly [Assignment, ...Assignment[]];
    if (!route.isAssigned && to.some(({ host }) => host !== name)) {
      say(each.env, each.host, { kind: "left", why: "split" });
      continue;
    }
    to.forEach((assignment) => led.add(assignment));
    const by = nameOf(each.env);
    if (route.isAssigned) leading.add(by);
    else {
      addEdit(edits, each, name);
      edited.add(by);
    }
    if (dialed === undefined) continue;
    for (const read of each.reads) if (isDialed(read, ports)) dialed.set(nameOf(read.env), { host: target.host, by });
  }
  return { edits, edited, remarks, led, leading };
};

const assignmentsOf = ({ to }: Route, ports: readonly number[]): readonly Assignment[] =>
  ports.length === 0 ? [...to.values()].flat() : ports.flatMap((port) => to.get(port) as readonly Assignment[]);

const addEdit = (edits: Map<number, Edit[]>, { env, start, end }: Held, text: string): void => {
  const own = edits.get(env);
  if (own === undefined) edits.set(env, [{ start, end, text }]);
  else own.push({ start, end, text });
};

/** A container's env with every host replaced that is to be. */
export type Settled = {
  readonly env: readonly EnvVar[];
  /** The sightings before any replacement. */
  readonly first: Look;
  /** Names of env whose client dials a Service now, or will: by their own text, or by a reference. */
  readonly dialed: ReadonlyMap<string, Dialed>;
  /** The sightings after the replacements: a second admission of the result has the same. */
  readonly last: Look;
  readonly portNames: ReadonlySet<string>;
  /** The env whose URL finds its servers by SRV records. */
  readonly srv: string | undefined;
};

/**
 * The reading that the plan made of these env. It holds for the redirect where they hold no host that is known since: a
 * Service of the table. A pod is admitted once, so almost none does.
 */
const plannedReading = (
  env: readonly EnvVar[],
  { offered }: Routes,
  readings: Readings,
  work: Work,
): ContainerReading | undefined => {
  const reading = readings.get(env);
  if (reading === undefined) return undefined;
  return env.some(({ value }) => value !== undefined && offered.mayHold(value, work)) ? undefined : reading;
};

/**
 * Replaces hosts until none is left to be: the result is left alone by a second run. Each round replaces at least one,
 * and the work of all is charged.
 */
export const settle = (
  env: readonly EnvVar[],
  routes: Routes,
  rules: EnvRules,
  readings: Readings,
  work: Work,
): Settled => {
  let current = env;
  let first: Look | undefined;
  const dialed = new Map<string, Dialed>();
  for (;;) {
    const planned = plannedReading(current, routes, readings, work);
    const reading = planned ?? readContainer(current, routes.known, rules, work);
    const look = lookAt(current, reading, routes, first === undefined ? dialed : undefined);
    const srv = srvEnv(reading, current);
    first ??= look;
    if (look.edits.size === 0 || srv !== undefined || isSpent(work))
      return { env: current, first, dialed, last: look, portNames: reading.portNames, srv };
    current = current.map((each, index) => {
      const edits = look.edits.get(index);
      if (edits === undefined) return each;
      const value = applyEdits(each.value as string, edits.toSorted(inOrder));
      charge(work, value.length);
      return { ...each, value };
    });
  }
};
