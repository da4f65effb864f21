import { type ContainerEnv, rewriteEnv } from "./env-container.ts";
import { type Former, routesOf } from "./env-routes.ts";
import { type PatchOperation, pointer } from "./patch.ts";
import type { Container, EnvVar, Pod } from "./pod.ts";
import { reject, type Rejection } from "./reasons.ts";
import type { Assignment } from "./target.ts";

/** An address that an assignment answered to before (from an old gateway-status): redirected as the target itself is. */
export type { Former };
export type EnvChange = { readonly container: string; readonly env: string; readonly change: "set" | "added" };
export type Redirection = {
  readonly kind: "redirect";
  /** Of env only; they apply in their order. */
  readonly operations: readonly PatchOperation[];
  readonly changed: readonly EnvChange[];
  /** `container/NAME` of every env that now leads to the gateway: the same on a second run. */
  readonly env: readonly string[];
  /** At most 120 characters each; never an env's value. */
  readonly warnings: readonly string[];
};

/** A container with the env that will be put in front, so that a `$(VAR)` anywhere in the list can refer to them. */
type Draft = {
  readonly container: Container;
  readonly field: "containers" | "initContainers";
  readonly index: number;
  readonly added: readonly EnvVar[];
  /** Added and present env; those set by name have their new value. */
  readonly env: readonly EnvVar[];
};

const MAX_WARNING = 120;
const clip = (text: string): string => (text.length <= MAX_WARNING ? text : `${text.slice(0, MAX_WARNING - 3)}...`);

/** What `hostEnv` and `portEnv` ask for; the first target that names an env gets it. */
const named = (assignments: readonly Assignment[]): Map<string, string> => {
  const values = new Map<string, string>();
  const name = (env: string, value: string): unknown => values.has(env) || values.set(env, value);
  for (const { target, host } of assignments) for (const env of target.hostEnv) name(env, host);
  for (const { target, port } of assignments) for (const env of target.portEnv) name(env, String(port));
  return values;
};

const draft = (
  container: Container,
  field: Draft["field"],
  index: number,
  fixed: ReadonlyMap<string, string>,
): Draft => {
  const present = container.env ?? [];
  const added = [...fixed]
    .filter(([name]) => !present.some((env) => env.name === name))
    .map(([name, value]) => ({ name, value }));
  const env = fixed.size === 0 ? present : present.map((entry) => ({ ...entry, ...fixedValue(entry, fixed) }));
  return { container, field, index, added, env: [...added, ...env] };
};

const fixedValue = ({ name }: EnvVar, fixed: ReadonlyMap<string, string>): object => {
  const value = fixed.get(name);
  return value === undefined ? {} : { value, valueFrom: undefined };
};

/** `MSSQL_HOST` and `MSSQL_PORT` for a target `mssql`. */
const envNames = ({ target }: Assignment): [string, string] => {
  const stem = target.name.toUpperCase().replaceAll("-", "_");
  return [`${stem}_HOST`, `${stem}_PORT`];
};

/**
 * Adds `<NAME>_HOST` and `<NAME>_PORT` of targets that no env leads to. To regular containers only: flows run there, and an
 * init container that needs the target says so with an env of its own.
 */
const withUnmatched = (drafts: readonly Draft[], unmatched: readonly Assignment[], warnings: Set<string>): Draft[] =>
  drafts.map((each) => {
    if (each.field === "initContainers") return each;
    const added: EnvVar[] = [];
    for (const assignment of unmatched) {
      const [hostName, portName] = envNames(assignment);
      const wanted: EnvVar[] = [
        { name: hostName, value: assignment.host },
        { name: portName, value: String(assignment.port) },
      ];
      const other = wanted.find(({ name, value }) => each.env.some((env) => env.name === name && env.value !== value));
      if (other !== undefined) {
        warnings.add(
          `${assignment.target.name}: ${other.name} has another value and is left alone; name hostEnv and portEnv`,
        );
        continue;
      }
      added.push(...wanted.filter(({ name }) => ![...each.env, ...added].some((env) => env.name === name)));
      warnings.add(`${assignment.target.name}: no env holds its address; ${hostName} and ${portName} are added`);
      const unseen = (each.container.env ?? []).filter(({ valueFrom }) => valueFrom != null).map(({ name }) => name);
      if (unseen.length > 0)
        warnings.add(`${assignment.target.name}: values that are not seen: ${unseen.slice(0, 3).join(", ")}`);
    }
    return { ...each, added: [...added, ...each.added], env: [...added, ...each.env] };
  });

type Patch = { readonly operations: readonly PatchOperation[]; readonly changed: readonly EnvChange[] };

/** Values are set first, by the indices of the list as it is; then the added env go in front. */
const patchOf = ({ container, field, index, added, env }: Draft, changes: ReadonlyMap<number, string>): Patch => {
  const operations: PatchOperation[] = [];
  const changed: EnvChange[] = [];
  for (const [at, before] of (container.env ?? []).entries()) {
    const position = at + added.length;
    const value = changes.get(position) ?? env[position]?.value;
    if (value === before.value && (before.valueFrom == null || env[position]?.valueFrom != null)) continue;
    const path = ["spec", field, index, "env", at];
    if (before.valueFrom != null) operations.push({ op: "remove", path: pointer(...path, "valueFrom") });
    operations.push({ op: before.value === undefined ? "add" : "replace", path: pointer(...path, "value"), value });
    changed.push({ container: container.name, env: before.name, change: "set" });
  }
  const list = pointer("spec", field, index, "env");
  const entries = added.map(({ name, value }) => ({ name, value }));
  if (entries.length > 0 && container.env == null) operations.push({ op: "add", path: list, value: entries });
  else for (const entry of entries.toReversed()) operations.push({ op: "add", path: `${list}/0`, value: entry });
  for (const { name } of added) changed.push({ container: container.name, env: name, change: "added" });
  return { operations, changed };
};

/** What a person should know about the env that are set by name. */
const namedWarnings = (
  drafts: readonly Draft[],
  assignments: readonly Assignment[],
  fixed: ReadonlyMap<string, string>,
): string[] => {
  const replaced = drafts.flatMap(({ container }) =>
    (container.env ?? [])
      .filter(({ name, valueFrom }) => valueFrom != null && fixed.has(name))
      .map(({ name }) => `${name}: its valueFrom is replaced, because an annotation names it`),
  );
  const ports = assignments
    .filter(({ target, port }) => target.hostEnv.length > 0 && target.portEnv.length === 0 && port !== target.port)
    .map(({ target, port }) => `${target.hostEnv.join(", ")}: the port to use is ${port}, not ${target.port}`);
  return [...replaced, ...ports];
};

/**
 * Makes a pod's env lead to the gateway, in every container and init container: env that the annotation names, else env
 * that hold a target's address, else new ones. Decides from the values alone, so a second run finds nothing to do.
 */
export const redirectEnv = (
  pod: Pod,
  assignments: readonly Assignment[],
  former: readonly Former[],
): Redirection | Rejection => {
  const fixed = named(assignments);
  const byValue = assignments.filter(({ target }) => target.hostEnv.length === 0);
  const routes = routesOf(assignments, byValue, former);
  const drafts = [
    ...(pod.spec.initContainers ?? []).map((each, index) => draft(each, "initContainers", index, fixed)),
    ...pod.spec.containers.map((each, index) => draft(each, "containers", index, fixed)),
  ];
  const rewrite = (all: readonly Draft[]): ContainerEnv[] =>
    all.map(({ env }) => rewriteEnv(env, routes, (name) => fixed.has(name)));
  let results = rewrite(drafts);
  const warnings = new Set<string>(namedWarnings(drafts, assignments, fixed));
  for (const [at, { srv }] of results.entries()) {
    const at_ = drafts[at];
    if (srv !== undefined && at_)
      return reject("srv-url", clip(`spec.${at_.field}[${at_.container.name}].env[${srv}]`));
  }
  const unmatched = byValue.filter((assignment) => !results.some(({ matched }) => matched.has(assignment)));
  const complete = unmatched.length === 0 ? drafts : withUnmatched(drafts, unmatched, warnings);
  if (unmatched.length > 0) results = rewrite(complete);
  const patches = complete.map((each, at) => patchOf(each, results[at]?.changes ?? new Map<number, string>()));
  const env = complete.flatMap(({ container }, at) =>
    [...fixed.keys(), ...(results[at]?.leading ?? [])].map((name) => `${container.name}/${name}`),
  );
  return {
    kind: "redirect",
    operations: patches.flatMap(({ operations }) => operations),
    changed: patches.flatMap(({ changed }) => changed),
    env: [...new Set(env)].sort(),
    warnings: [...new Set([...warnings, ...results.flatMap((result) => result.warnings)].map(clip))],
  };
};
