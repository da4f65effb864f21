import type { ContainerEnv } from "./container.ts";
import type { ContainerDraft } from "./draft.ts";
import { type Ports, portsOf } from "./routes.ts";
import type { EnvVar } from "../pod.ts";
import type { Assignment } from "../target.ts";

/** `MSSQL_HOST` and `MSSQL_PORT` for a target `mssql`. */
const wantedFor = ({ target, host, port }: Assignment): [EnvVar, EnvVar] => {
  const stem = target.name.toUpperCase().replaceAll("-", "_");
  return [
    { name: `${stem}_HOST`, value: host },
    { name: `${stem}_PORT`, value: String(port) },
  ];
};

/** The downward API tells a pod of itself: no target is among that. */
const isOfThePod = (valueFrom: unknown): boolean =>
  typeof valueFrom === "object" && valueFrom !== null && ("fieldRef" in valueFrom || "resourceFieldRef" in valueFrom);

/** Where a target's address may be that the webhook does not see. Names only. */
const unseenIn = ({ container }: ContainerDraft, unresolved: readonly string[]): string[] => [
  ...(container.env ?? [])
    .filter(({ valueFrom }) => valueFrom != null && !isOfThePod(valueFrom))
    .map(({ name }) => name),
  ...unresolved,
  ...((container.envFrom ?? []).length > 0 ? ["envFrom"] : []),
];

const andMore = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;

const complete = (
  draft: ContainerDraft,
  unmatched: readonly Assignment[],
  all: readonly Assignment[],
  warnings: string[],
): ContainerDraft => {
  const values = new Map<string, ReadonlySet<unknown>>();
  for (const { name, value } of draft.env) values.set(name, new Set([...(values.get(name) ?? []), value]));
  const added: EnvVar[] = [];
  const ports = new Map<string, Ports>();
  for (const assignment of unmatched) {
    const { name } = assignment.target;
    const wanted = wantedFor(assignment);
    const other = wanted.find((env) => [...(values.get(env.name) ?? [])].some((value) => value !== env.value));
    const missing = wanted.filter((env) => !values.has(env.name));
    if (other !== undefined)
      warnings.push(`${name}: ${other.name} has another value and is left alone; name hostEnv and portEnv`);
    else if (missing.length > 0)
      warnings.push(
        `${name}: no env holds its address; ${missing.map((env) => env.name).join(" and ")} ${missing.length === 1 ? "is" : "are"} added`,
      );
    if (other !== undefined) continue;
    added.push(...missing);
    ports.set(wanted[0].name, portsOf(assignment, all));
  }
  return { ...draft, added: [...added, ...draft.added], env: [...added, ...draft.env], ports };
};

/**
 * Adds `<NAME>_HOST` and `<NAME>_PORT` of targets that no env leads to. To regular containers only: flows run there, and an
 * init container that needs the target says so with an env of its own.
 */
export const withUnmatched = (
  drafts: readonly ContainerDraft[],
  unmatched: readonly Assignment[],
  all: readonly Assignment[],
): { readonly drafts: readonly ContainerDraft[]; readonly warnings: readonly string[] } => {
  const warnings: string[] = [];
  const completed = drafts.map((draft) =>
    draft.field === "initContainers" || unmatched.length === 0 ? draft : complete(draft, unmatched, all, warnings),
  );
  return { drafts: completed, warnings };
};

/** Names what may hold the address of targets that no env seems to lead to. */
export const unseenWarning = (
  unmatched: readonly Assignment[],
  containers: readonly { readonly draft: ContainerDraft; readonly result: ContainerEnv }[],
): readonly string[] => {
  const unseen = new Set(containers.flatMap(({ draft, result }) => unseenIn(draft, result.unresolved)));
  if (unmatched.length === 0 || unseen.size === 0) return [];
  return [
    `${andMore(unmatched.map(({ target }) => target.name))}: may be in what is not seen: ${andMore([...unseen])}`,
  ];
};
