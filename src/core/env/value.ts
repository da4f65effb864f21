import { type Edit, inOrder } from "../edit.ts";
import { findPlaces } from "./places/find.ts";
import { type Cell, isPortLike, type Place, type Slot, type Span } from "./places/place.ts";
import { canonicalHost, type Ports, type Routes } from "./routes.ts";
import { type Assignment, address } from "../target.ts";

/** The port that is kept in another env: none is found, it is `unseen`, the annotation has `set` it, or it is known. */
export type PortElsewhere = number | "none" | "unseen" | "set";

/** What is known of a string besides its text. */
export type Around = {
  readonly paired: PortElsewhere;
  /** References were followed: what is none of ours must be held, lest it changes with what it refers to. */
  readonly isExpanded: boolean;
  /** What the ports mean where the gateway's name comes from an env that was set for one assignment. */
  readonly portsAt: (host: Span) => Ports | undefined;
};

export type Rewriting = {
  /** In the string's order; they do not overlap. Some put what is there: it must not follow a reference that changes. */
  readonly edits: readonly Edit[];
  /** The assignments that the string leads to, once the edits are made; empty: the string is none of ours. */
  readonly leadsTo: ReadonlySet<Assignment>;
  /** Those among them whose port is another than a client takes it for, where neither the string nor another env tells. */
  readonly untold: ReadonlyMap<Assignment, number>;
  /** The port that the other env must hold. */
  readonly elsewhere: number | undefined;
  readonly warnings: readonly string[];
  readonly isSrv: boolean;
};

/** A place with the port that a client would use now, and where another can be written; `undefined`: not known, nowhere. */
type PlaceReading = {
  readonly place: Place;
  readonly name: string;
  readonly ports: Ports | undefined;
  readonly number: number | undefined;
  readonly cell: Cell | undefined;
  /** The port is likely, not certain: it must be written, or another target on the gateway could be taken for this one. */
  readonly isGuess: boolean;
  /** The port as it is written, or the default that stands for it. */
  readonly now: string;
};

/** What becomes of a place. */
type PlaceVerdict = {
  readonly leadsTo: readonly Assignment[];
  readonly untold?: ReadonlyMap<Assignment, number>;
  readonly warnings: readonly string[];
  readonly port: string;
  readonly isMoved: boolean;
  readonly isSrv?: true;
};

/** libpq's `hostaddr` and PGHOSTADDR. */
export const NUMERIC = "hostaddr takes an IP address only: use host";
export const portToUse = (port: number, instead: number): string => `the port to use is ${port}, not ${instead}`;

const portAt = (text: string, slot: Slot, ports: Ports | undefined, paired: PortElsewhere) => {
  switch (slot.kind) {
    case "written": {
      const port = text.slice(slot.cell.start, slot.cell.end);
      const cell = isPortLike(port) ? slot.cell : undefined;
      return { number: /^\d+$/.test(port) ? Number(port) : undefined, cell, isGuess: false };
    }
    case "elsewhere":
      return { number: typeof paired === "number" ? paired : undefined, cell: undefined, isGuess: false };
    case "unknown":
      return { number: ports?.size === 1 ? [...ports.keys()][0] : undefined, cell: slot.cell, isGuess: true };
    case "default": {
      const [first] = slot.choices;
      const choice = slot.choices.find(({ port }) => ports?.has(port)) ?? first;
      return { number: choice.port, cell: choice.cell, isGuess: choice !== first };
    }
  }
};

const read = (text: string, place: Place, routes: Routes, { paired, portsAt }: Around): PlaceReading => {
  const name = canonicalHost(text.slice(place.host.start, place.host.end)) ?? "";
  const ports = (name === routes.gateway ? portsAt(place.host) : undefined) ?? routes.hosts.get(name);
  const { number, cell, isGuess } = portAt(text, place.slot, ports, paired);
  const written = cell === undefined ? "" : text.slice(cell.start, cell.end);
  return { place, name, ports, number, cell, isGuess, now: written === "" ? String(number ?? "") : written };
};

const judge = (
  { place, name, ports, number, cell, isGuess, now }: PlaceReading,
  gateway: string,
  paired: PortElsewhere,
): PlaceVerdict => {
  const left = (...warnings: string[]): PlaceVerdict => ({ leadsTo: [], warnings, port: now, isMoved: false });
  if (ports === undefined) return left();
  if (place.limit === "srv") return { ...left(), isSrv: true };
  if (place.limit === "numeric") return left(NUMERIC);
  if (number === undefined) {
    if (isGuess && name !== gateway) return left(`${name} is several targets: write the port`);
    const moved = paired === "set" && cell === undefined ? [] : [...ports].filter(([port, to]) => port !== to.port);
    const untold = new Map(moved.map(([port, to]) => [to, port] as const));
    const warnings = moved.map(([port, to]) => portToUse(to.port, port));
    return { ...left(...warnings), leadsTo: [...ports.values()], untold };
  }
  const assignment = ports.get(number);
  if (assignment === undefined) return left(`${address(name, number)} is not a target of this pod`);
  const port = String(assignment.port);
  return { leadsTo: [assignment], warnings: [], port, isMoved: port !== now || (isGuess && name !== gateway) };
};

/** The ports that are to be written, cell by cell: a cell may serve several hosts. */
const portEdits = (text: string, judged: readonly (readonly [PlaceReading, PlaceVerdict])[]): Edit[] | "conflict" => {
  const cells = new Map<Cell, PlaceVerdict[]>();
  for (const [{ cell }, verdict] of judged) {
    if (cell === undefined) continue;
    const sharers = cells.get(cell);
    if (sharers === undefined) cells.set(cell, [verdict]);
    else sharers.push(verdict);
  }
  const edits: Edit[] = [];
  for (const [cell, verdicts] of cells) {
    if (!verdicts.some(({ isMoved }) => isMoved)) {
      edits.push({ ...cell, text: text.slice(cell.start, cell.end) });
      continue;
    }
    const ports = verdicts.map(({ port }) => port);
    const distinct = [...new Set(ports)];
    if (distinct.length > 1 && cell.isList !== true) return "conflict";
    edits.push({ ...cell, text: cell.lead + (distinct.length === 1 ? distinct : ports).join(",") });
  }
  return edits;
};

/**
 * The places of a string that matter: ours, those that share a port with ours, and all of them where references were followed.
 * Most of a long list's are neither, and are dropped before anything is made of them.
 */
const relevant = (text: string, routes: Routes, around: Around): readonly PlaceReading[] => {
  const all = findPlaces(text).map((place) => read(text, place, routes, around));
  if (around.isExpanded) return all;
  const ours = all.filter(({ ports }) => ports !== undefined);
  if (ours.length === all.length) return all;
  const cells = new Set(ours.map(({ cell }) => cell));
  return ours.length === 0 ? [] : all.filter(({ ports, cell }) => ports !== undefined || cells.has(cell));
};

const noRewriting: Rewriting = {
  edits: [],
  leadsTo: new Set(),
  untold: new Map(),
  elsewhere: undefined,
  warnings: [],
  isSrv: false,
};

/** Rewrites one string (references already followed): only the hosts and ports of clients' addresses, by the routes. */
export const rewriteValue = (text: string, routes: Routes, around: Around): Rewriting => {
  const found = relevant(text, routes, around);
  if (found.length === 0) return noRewriting;
  const judged = found.map((each) => [each, judge(each, routes.gateway, around.paired)] as const);
  if (judged.some(([, { isSrv }]) => isSrv)) return { ...noRewriting, isSrv: true };
  const stay = ({ host }: Place): Edit => ({ ...host, text: text.slice(host.start, host.end) });
  const edits: Edit[] = [];
  const leadsTo = new Set<Assignment>();
  const untold = new Map<Assignment, number>();
  const warnings = new Set<string>();
  const elsewhere = new Set<string>();
  for (const [{ place, name, number }, verdict] of judged) {
    verdict.leadsTo.forEach((assignment) => leadsTo.add(assignment));
    verdict.untold?.forEach((port, assignment) => untold.set(assignment, port));
    verdict.warnings.forEach((warning) => warnings.add(warning));
    if (place.slot.kind === "elsewhere" && number !== undefined) elsewhere.add(verdict.port);
    if (verdict.leadsTo.length === 0 && !/^\d*$/.test(name)) edits.push(stay(place));
    if (verdict.leadsTo.length > 0 && name !== routes.gateway) edits.push({ ...place.host, text: routes.gateway });
  }
  const ports = portEdits(text, judged);
  if (ports === "conflict" || elsewhere.size > 1)
    return {
      ...noRewriting,
      edits: judged.map(([{ place }]) => stay(place)),
      warnings: [...warnings, "its hosts share one port but need several: write one at each host"],
    };
  edits.push(...ports);
  const [port] = elsewhere;
  return {
    edits: edits.length > 1 ? edits.sort(inOrder) : edits,
    leadsTo,
    untold,
    elsewhere: port === undefined ? undefined : Number(port),
    warnings: [...warnings],
    isSrv: false,
  };
};
