import { adoPlaces, descriptorPlaces } from "./env-keyvalue.ts";
import { libpqPlaces } from "./env-libpq.ts";
import { listPlaces } from "./env-list.ts";
import { byDefault, type Cell, isPortLike, type Place, readAddress, type Slot, written } from "./env-place.ts";
import { canonicalHost, type Routes } from "./env-routes.ts";
import { jdbcPlaces, urlPlaces } from "./env-url.ts";
import { type Assignment, address } from "./target.ts";

export type Edit = { readonly start: number; readonly end: number; readonly text: string };

/** The port that is kept in another env: none is found, it is `unseen`, or it is known. */
export type PortElsewhere = number | "none" | "unseen";

export type Rewriting = {
  /** In the string's order; they do not overlap. */
  readonly edits: readonly Edit[];
  /** The assignments that the string leads to, once the edits are made; empty: the string is none of ours. */
  readonly leadsTo: ReadonlySet<Assignment>;
  /** The port that the other env must hold. */
  readonly elsewhere: number | undefined;
  readonly warnings: readonly string[];
  readonly isSrv: boolean;
};

/** The MySQL driver of Go: `user:password@tcp(host:port)/db`. */
const goMysqlPlaces = (text: string): Place[] => {
  const start = text.lastIndexOf("tcp(") + 4;
  const close = text.indexOf(")", start);
  const found = close < 0 ? undefined : readAddress(text, { start, end: close });
  if (found === undefined) return [];
  return [
    { host: found.host, slot: found.port === undefined ? byDefault(3306, found.host.end, ":") : written(found.port) },
  ];
};

/** Where clients read hosts in a string. The first family that the string's shape fits decides; no family: a list of hosts. */
export const findPlaces = (text: string): Place[] => {
  const begin = text.slice(0, 64).trimStart();
  if (/^(jdbc|r2dbc):/i.test(begin)) return jdbcPlaces(text);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(begin)) return urlPlaces(text);
  if (begin.startsWith("(")) return descriptorPlaces(text, { start: 0, end: text.length });
  if (/(^|@)tcp\(/.test(text)) return goMysqlPlaces(text);
  const equals = text.indexOf("=");
  if (equals < 0 || text.slice(0, equals).includes(",")) return listPlaces(text);
  return libpqPlaces(text) ?? adoPlaces(text);
};

type Port = { readonly number: number | undefined; readonly cell: Cell | undefined };

/** The port that a client would use now, and where another can be written. `undefined`: it cannot be known. */
const portOf = (text: string, slot: Slot, ports: ReadonlyMap<number, Assignment>, paired: PortElsewhere): Port => {
  if (slot.kind === "written") {
    const port = text.slice(slot.cell.start, slot.cell.end);
    return { number: /^\d+$/.test(port) ? Number(port) : undefined, cell: isPortLike(port) ? slot.cell : undefined };
  }
  if (slot.kind === "elsewhere") return { number: typeof paired === "number" ? paired : undefined, cell: undefined };
  if (slot.kind === "unknown") return { number: ports.size === 1 ? [...ports.keys()][0] : undefined, cell: slot.cell };
  const choice = slot.choices.find(({ port }) => ports.has(port)) ?? slot.choices[0];
  return { number: choice?.port, cell: choice?.cell };
};

/** Rewrites one string (references already followed): only the hosts and ports of clients' addresses, by the routes. */
export const rewriteValue = (text: string, routes: Routes, paired: PortElsewhere = "none"): Rewriting => {
  const edits: Edit[] = [];
  const leadsTo = new Set<Assignment>();
  const warnings = new Set<string>();
  const cells = new Map<Cell, string[]>();
  let elsewhere: number | undefined;
  const places = findPlaces(text);
  for (const { host, slot, limit } of places) {
    const name = canonicalHost(text.slice(host.start, host.end)) ?? "";
    const ports = routes.hosts.get(name);
    const { number, cell } = portOf(text, slot, ports ?? new Map<number, Assignment>(), paired);
    const note = (port: string): void => {
      if (cell !== undefined) cells.set(cell, [...(cells.get(cell) ?? []), port]);
    };
    const now = cell !== undefined && cell.start < cell.end ? text.slice(cell.start, cell.end) : String(number ?? "");
    if (ports === undefined || limit !== undefined) {
      note(now);
      if (ports === undefined) continue;
      if (limit === "srv") return { edits: [], leadsTo: new Set(), elsewhere: undefined, warnings: [], isSrv: true };
      warnings.add("hostaddr takes an IP address only: use host");
      continue;
    }
    const assignment = number === undefined ? undefined : ports.get(number);
    if (number !== undefined && assignment === undefined) {
      note(now);
      warnings.add(`${address(name, number)} is not a target of this pod`);
      continue;
    }
    if (assignment === undefined && slot.kind === "unknown" && name !== routes.gateway) {
      note(now);
      warnings.add(`${name} is several targets: write the port`);
      continue;
    }
    if (name !== routes.gateway) edits.push({ ...host, text: routes.gateway });
    const candidates: [number, Assignment][] =
      number === undefined || assignment === undefined ? [...ports] : [[number, assignment]];
    for (const [port, to] of candidates) {
      leadsTo.add(to);
      if (slot.kind === "elsewhere" && number !== undefined) elsewhere = to.port;
      else if (cell === undefined || number === undefined) {
        if (port !== to.port) warnings.add(`the port to use is ${to.port}, not ${port}`);
      }
    }
    const isSilent = slot.kind === "unknown" && (name === routes.gateway || number === undefined);
    note(
      assignment === undefined || isSilent
        ? now
        : slot.kind === "unknown"
          ? `!${assignment.port}`
          : String(assignment.port),
    );
  }
  for (const [cell, wanted] of cells) {
    const is = cell.start < cell.end ? text.slice(cell.start, cell.end) : undefined;
    const distinct = [...new Set(wanted.map((port) => port.replace("!", "")))];
    const put = distinct.length === 1 ? String(distinct[0]) : wanted.join(",").replaceAll("!", "");
    const isDefault =
      is === undefined && !wanted.some((port) => port.startsWith("!")) && isUnmoved(places, cell, distinct);
    if (put !== is && !isDefault) edits.push({ start: cell.start, end: cell.end, text: cell.lead + put });
  }
  edits.sort((a, b) => a.start - b.start || a.end - b.end);
  return { edits, leadsTo, elsewhere, warnings: [...warnings], isSrv: false };
};

/** True when the only port that a cell would get is the one that the client uses anyway. */
const isUnmoved = (places: readonly Place[], cell: Cell, ports: readonly string[]): boolean =>
  ports.length === 1 &&
  (ports[0] === "" ||
    places.some(
      ({ slot }) =>
        slot.kind === "default" &&
        slot.choices.some((choice) => choice.cell === cell && String(choice.port) === ports[0]),
    ));

export const applyEdits = (text: string, edits: readonly Edit[]): string => {
  let out = "";
  let at = 0;
  for (const { start, end, text: put } of edits) {
    out += text.slice(at, start) + put;
    at = end;
  }
  return out + text.slice(at);
};
