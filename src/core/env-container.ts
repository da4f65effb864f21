import { portNames } from "./env-pair.ts";
import { expand, type Expanded, toSource } from "./env-reference.ts";
import type { Routes } from "./env-routes.ts";
import { applyEdits, type Edit, type PortElsewhere, rewriteValue } from "./env-value.ts";
import type { EnvVar } from "./pod.ts";
import type { Assignment } from "./target.ts";

export type ContainerEnv = {
  /** New values, by index. */
  readonly changes: ReadonlyMap<number, string>;
  /** Names of env that lead to the gateway. */
  readonly leading: ReadonlySet<string>;
  readonly matched: ReadonlySet<Assignment>;
  readonly warnings: readonly string[];
  /** The env whose mongodb+srv URL names a target. */
  readonly srv?: string;
};

/** The values as the container would see them, `$(VAR)` followed; undefined: unseen. */
const expandAll = (env: readonly EnvVar[]): (Expanded | undefined)[] => {
  const defined = new Map<string, { env: number; text: string } | undefined>();
  const hasReference = env.some(({ value }) => value?.includes("$("));
  return env.map(({ name, value, valueFrom }, index) => {
    const expanded = valueFrom == null ? expand(value ?? "", (other) => defined.get(other)) : undefined;
    if (hasReference) defined.set(name, expanded && { env: index, text: expanded.text });
    return expanded;
  });
};

/** The port env that pairs with a host env. The last of a name counts, as it does for Kubernetes. */
const pairOf = (
  env: readonly EnvVar[],
  values: readonly (Expanded | undefined)[],
  name: string,
): { index: number; port: PortElsewhere } => {
  for (const candidate of portNames(name)) {
    const index = env.findLastIndex((other) => other.name === candidate);
    if (index < 0) continue;
    const port = values[index]?.text.trim() ?? "";
    return { index, port: /^\d{1,5}$/.test(port) ? Number(port) : "unseen" };
  }
  return { index: -1, port: "none" };
};

/** Rewrites the env of one container by value; `fixed` are set by name and are only referred to. */
export const rewriteEnv = (env: readonly EnvVar[], routes: Routes, fixed: (name: string) => boolean): ContainerEnv => {
  const none = {
    changes: new Map<number, string>(),
    leading: new Set<string>(),
    matched: new Set<Assignment>(),
    warnings: [],
  };
  if (!env.some(({ value }) => value !== undefined && (value.includes("$(") || routes.mayHold(value)))) return none;
  const { changes, leading, matched } = none;
  const warnings: string[] = [];
  const values = expandAll(env);
  const edits = new Map<number, readonly Edit[]>();
  const leadsTo = new Map<number, ReadonlySet<Assignment>>();
  for (const [index, { name }] of env.entries()) {
    const text = values[index]?.text;
    if (text === undefined || fixed(name) || /^no_proxy$/i.test(name) || !routes.mayHold(text)) continue;
    const pair = pairOf(env, values, name);
    const result = rewriteValue(text, routes, pair.port);
    if (result.isSrv) return { ...none, srv: name };
    warnings.push(...result.warnings.map((warning) => `${name}: ${warning}`));
    if (result.leadsTo.size === 0) continue;
    edits.set(index, [...(edits.get(index) ?? []), ...result.edits]);
    leadsTo.set(index, result.leadsTo);
    const port = values[pair.index];
    if (result.elsewhere === undefined || port === undefined) continue;
    const put = String(result.elsewhere);
    const start = port.text.length - port.text.trimStart().length;
    const edit = { start, end: port.text.trimEnd().length, text: put };
    const earlier = edits.get(pair.index);
    if (earlier !== undefined && earlier[0]?.text !== put)
      warnings.push(`${name}: its port must be ${put}, another env shares it`);
    else if (port.text.trim() !== put) edits.set(pair.index, [edit]);
    else edits.set(pair.index, earlier ?? []);
    leadsTo.set(pair.index, result.leadsTo);
  }
  for (const [index, expanded] of values.entries()) {
    const wanted = edits.get(index);
    const { name = "", value = "" } = env[index] ?? {};
    if (expanded === undefined || wanted === undefined) continue;
    const after = (other: number): string => afterOf(other);
    const own = toSource(expanded, wanted, after, (other) => (edits.get(other)?.length ?? 0) > 0);
    if (own === undefined) {
      edits.set(index, []);
      warnings.push(`${name}: a part of its address comes from another env: left alone`);
      continue;
    }
    leading.add(name);
    for (const assignment of leadsTo.get(index) ?? []) matched.add(assignment);
    if (own.length > 0) changes.set(index, applyEdits(value, own));
  }
  function afterOf(other: number): string {
    const expanded = values[other];
    return expanded === undefined ? "" : applyEdits(expanded.text, edits.get(other) ?? []);
  }
  return { changes, leading, matched, warnings };
};
