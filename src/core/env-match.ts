import type { Edit } from "./env-expand.ts";
import { findSpots, type Spot } from "./env-spots.ts";
import type { Former } from "./status.ts";
import { address, type Assignment } from "./target.ts";

/** An address that leads, or is made to lead, to an assignment's. */
export type Mapping = {
  readonly host: string;
  readonly port: number;
  readonly to: Assignment;
  /** The address is the assignment's own: what holds it is redirected already. */
  readonly isOwn: boolean;
};

/** What was found in one text. */
export type Matches = {
  readonly edits: readonly Edit[];
  /** Assignments that the text leads to, once edited. */
  readonly reached: readonly Assignment[];
  /** For a person; no part of the text but a target's address. */
  readonly notes: readonly string[];
};

/**
 * The addresses to look for. Former ones come first: after a gateway was made anew, the address that one target had may be
 * another's now, and a pod that still carries the old status means the old one.
 */
export const mappingsOf = (assignments: readonly Assignment[], former: readonly Former[]): readonly Mapping[] => [
  ...former.map(({ host, port, assignment }) => ({ host, port, to: assignment, isOwn: false })),
  ...assignments.map((to) => ({ host: to.target.host, port: to.target.port, to, isOwn: false })),
  ...assignments.map((to) => ({ host: to.host, port: to.port, to, isOwn: true })),
];

/** A test that is cheap and never misses: an IPv6 address has many spellings, anything else only upper and lower case. */
export const mayHold = (mappings: readonly Mapping[]): ((text: string) => boolean) => {
  const hosts = [...new Set(mappings.map(({ host }) => host))];
  const plain = hosts.filter((host) => !host.includes(":"));
  const hasIPv6 = plain.length < hosts.length;
  return (text) => {
    const lower = text.toLowerCase();
    return plain.some((host) => lower.includes(host)) || (hasIPv6 && /:.*:/s.test(lower));
  };
};

/** Finds the mappings' addresses in a text. `portElsewhere`: the port of a text that is a host alone, when it is known. */
export const matchText = (text: string, mappings: readonly Mapping[], portElsewhere?: number): Matches => {
  const found = findSpots(text).map((spot) => matchSpot(spot, mappings, portElsewhere));
  return {
    edits: found.flatMap(({ edits }) => edits),
    reached: found.flatMap(({ reached }) => reached),
    notes: found.flatMap(({ notes }) => notes),
  };
};

const nothing: Matches = { edits: [], reached: [], notes: [] };

const matchSpot = (spot: Spot, mappings: readonly Mapping[], portElsewhere: number | undefined): Matches => {
  const candidates = mappings.filter(({ host }) => host === spot.host);
  if (candidates.length === 0) return nothing;
  if (spot.isInstance === true) return { ...nothing, notes: ["a named instance asks SQL Server Browser (UDP): write its port instead"] };
  const port = spot.port ?? portElsewhere ?? candidates.find((item) => item.port === spot.assumed)?.port;
  if (port === undefined) return withoutPort(spot, candidates);
  const mapping = candidates.find((item) => item.port === port);
  if (mapping !== undefined) return { edits: editsTo(spot, mapping.to, port), reached: [mapping.to], notes: [] };
  return candidates.every((item) => item.isOwn) ? nothing : { ...nothing, notes: [`${address(spot.host, port)} is not a target of this pod`] };
};

const editsTo = (spot: Spot, to: Assignment, port: number): readonly Edit[] => {
  const edits: Edit[] = [];
  const separator = spot.portAt === undefined && port !== to.port ? spot.separator : undefined;
  const added = separator === undefined ? "" : `${separator}${to.port}`;
  if (spot.host !== to.host || added !== "") edits.push({ at: spot.at, text: `${to.host}${added}` });
  if (spot.portAt !== undefined && port !== to.port) edits.push({ at: spot.portAt, text: String(to.port) });
  return edits;
};

/** The port stands nowhere: all of the host's targets share the gateway's host, so that is right; the port may have to be said. */
const withoutPort = (spot: Spot, candidates: readonly Mapping[]): Matches => {
  const foreign = candidates.filter(({ isOwn }) => !isOwn);
  const [first, ...others] = foreign;
  if (first === undefined) return { ...nothing, reached: candidates.map(({ to }) => to) };
  if (others.length === 0 && spot.separator !== undefined) return { edits: editsTo(spot, first.to, first.port), reached: [first.to], notes: [] };
  return {
    edits: [{ at: spot.at, text: first.to.host }],
    reached: foreign.map(({ to }) => to),
    notes: foreign.filter(({ port, to }) => port !== to.port).map(({ port, to }) => `the client must connect to port ${to.port}, not ${port}`),
  };
};
