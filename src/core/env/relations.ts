/** How the env of one container hang together: a host with the env of its port, a value with the env that it refers to. */
import { applyEdits, type Edit } from "../edit.ts";
import { portNames } from "./port-env.ts";
import type { Span } from "./places/place.ts";
import { expand, type Expanded, toSource } from "./reference.ts";
import type { Ports } from "./routes.ts";
import type { PortElsewhere, Rewriting } from "./value.ts";
import type { EnvVar } from "../pod.ts";
import type { Assignment } from "../target.ts";

/** Env that are set by name, whatever they held: they are referred to, never rewritten. */
export type Named = {
  readonly has: (name: string) => boolean;
  /** What ports mean beside the host that an env is set to. */
  readonly portsOf: (name: string) => Ports | undefined;
};

/** Longer values are no client's address (a file, a certificate, a program): they are not read. */
const LONGEST_VALUE = 16_384;
/** What becomes of an env. One that leads nowhere of ours is held: it means what it meant when an env that it refers to changes. */
export type EnvRewrite = Pick<Rewriting, "edits" | "leadsTo"> & Partial<Pick<Rewriting, "untold">>;

/** The env of one container while it is looked at. */
export type EnvView = {
  readonly env: readonly EnvVar[];
  /** The values as the container would see them; `undefined`: unseen. */
  readonly values: readonly (Expanded | undefined)[];
  /** The last of a name counts, as it does for Kubernetes. */
  readonly indexOf: ReadonlyMap<string, number>;
  readonly named: Named;
  readonly outcomes: Map<number, EnvRewrite>;
  readonly warnings: string[];
};

/** Whether a value is read at all. */
export const isShort = (value: string): boolean => value.length <= LONGEST_VALUE;

/** The env of a container as it sees them: references followed, as far as the values are seen. */
export const viewOf = (env: readonly EnvVar[], named: Named): EnvView => {
  const values: (Expanded | undefined)[] = [];
  const indexOf = new Map<string, number>();
  const lookup = (name: string): { env: number; text: string } | undefined => {
    const index = indexOf.get(name);
    const known = index === undefined ? undefined : values[index];
    return index === undefined || known === undefined ? undefined : { env: index, text: known.text };
  };
  for (const [index, { name, value = "", valueFrom }] of env.entries()) {
    values.push(valueFrom == null && isShort(value) ? expand(value, lookup) : undefined);
    indexOf.set(name, index);
  }
  return { env, values, indexOf, named, outcomes: new Map(), warnings: [] };
};

type PortEnv = { readonly index: number; readonly value: Expanded };

/** The port env that pairs with a host env; it has no `pair` when it is not there, not seen, or no number. */
export const portEnvOf = (
  { values, indexOf, named }: EnvView,
  name: string,
): { port: PortElsewhere; pair?: PortEnv } => {
  for (const candidate of portNames(name)) {
    const index = indexOf.get(candidate);
    if (index === undefined) continue;
    if (named.has(candidate)) return { port: "set" };
    const value = values[index];
    const port = value?.text.trim() ?? "";
    return value !== undefined && /^\d{1,5}$/.test(port)
      ? { port: Number(port), pair: { index, value } }
      : { port: "unseen" };
  }
  return { port: "none" };
};

/** A value's edits in terms of the value as it is written; undefined: a reference holds half of an address. */
export const sourceEdits = (
  { values, outcomes }: EnvView,
  expanded: Expanded,
  wanted: readonly Edit[],
): readonly Edit[] | undefined => {
  const after = (other: number): string => applyEdits(String(values[other]?.text), outcomes.get(other)?.edits ?? []);
  const isChanged = (other: number): boolean => after(other) !== values[other]?.text;
  return toSource(expanded, wanted, after, isChanged);
};

/** What ports mean beside a host that comes from a named env. */
export const portsIn = ({ env, named }: EnvView, { pieces }: Expanded, { start, end }: Span): Ports | undefined => {
  const piece = pieces.find((each) => each.env !== undefined && each.at <= start && each.end >= end);
  const name = piece?.env === undefined ? undefined : env[piece.env]?.name;
  return name === undefined ? undefined : named.portsOf(name);
};

/** True for an env that leads to the gateway. */
export const isLed = (outcome: EnvRewrite | undefined): outcome is EnvRewrite =>
  outcome !== undefined && outcome.leadsTo.size > 0;

/** Gives a host's port env its new port; false: another host has set it to another, or its value cannot be changed. */
export const setPort = (
  { outcomes }: EnvView,
  { index, value }: PortEnv,
  port: number,
  to: ReadonlySet<Assignment>,
): boolean => {
  const text = String(port);
  const start = value.text.length - value.text.trimStart().length;
  const now = value.text.trim();
  const earlier = outcomes.get(index);
  if (isLed(earlier) && (earlier.edits[0]?.text ?? now) !== text) return false;
  outcomes.set(index, { edits: now === text ? [] : [{ start, end: start + now.length, text }], leadsTo: to });
  return true;
};

/** True for a value that refers to another env that is seen. */
export const isExpanded = ({ pieces }: Expanded): boolean => pieces.some(({ env }) => env !== undefined);
