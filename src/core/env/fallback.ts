import { adviceForTarget } from "./advice.ts";
import { readHost } from "../host.ts";
import { findPlaces } from "./places/find.ts";
import type { ContainerDraft } from "./draft.ts";
import type { Reached } from "../target.ts";
import { MOST_NAMES } from "./note.ts";
import { hasReference } from "./reference.ts";
import { charge, type Work } from "./work.ts";
import { listed } from "../message.ts";
import type { EnvVar } from "../pod.ts";
import type { Assignment } from "../target.ts";

/** `MSSQL_HOST` and `MSSQL_PORT` for a target `mssql`. */
export const envFor = ({ target, host }: Reached): [EnvVar, EnvVar] => {
  const stem = target.name.toUpperCase().replaceAll("-", "_");
  return [
    { name: `${stem}_HOST`, value: host },
    { name: `${stem}_PORT`, value: String(target.port) },
  ];
};

type Addition = { readonly env: readonly EnvVar[]; readonly warnings: readonly string[] };
const noAddition: Addition = { env: [], warnings: [] };

/** The values of those env of a container that are wanted. */
const valuesOf = (env: readonly EnvVar[], wanted: ReadonlySet<string>): ReadonlyMap<string, ReadonlySet<unknown>> => {
  const values = new Map<string, Set<unknown>>();
  for (const { name, value } of env)
    if (wanted.has(name)) values.set(name, (values.get(name) ?? new Set<unknown>()).add(value));
  return values;
};

/**
 * The `<NAME>_HOST` and `<NAME>_PORT` that a container lacks, for targets that no env holds. None beside an `envFrom`,
 * which may bring them. `portNames`: env names that a reader would take as the port of a present host, and that would
 * so change its meaning.
 */
export const additionOf = (
  { container, env }: ContainerDraft,
  portNames: ReadonlySet<string>,
  unmatched: readonly Assignment[],
  work: Work,
): Addition => {
  const isOpen = (container.envFrom ?? []).length === 0;
  if (!isOpen || !charge(work, 100 * env.length + 3000 * unmatched.length)) return noAddition;
  const values = valuesOf(env, new Set(unmatched.flatMap(envFor).map(({ name }) => name)));
  const added: EnvVar[] = [];
  const warnings: string[] = [];
  for (const assignment of unmatched) {
    const { name } = assignment.target;
    const wanted = envFor(assignment);
    const missing = wanted.filter((each) => !values.has(each.name));
    const other = wanted.find((each) => [...(values.get(each.name) ?? [])].some((value) => value !== each.value));
    const another = missing.find((each) => portNames.has(each.name));
    if (other !== undefined)
      warnings.push(`${name}: ${other.name} has another value and is left alone; name hostEnv and portEnv`);
    else if (another !== undefined)
      warnings.push(`${name}: ${another.name} would be read as another host's port and is not added; name hostEnv`);
    else if (missing.length > 0) {
      const are = missing.length === 1 ? "is" : "are";
      warnings.push(
        `${name}: no env was rewritten for it; ${missing.map((each) => each.name).join(" and ")} ${are} added`,
      );
      warnings.push(...adviceForTarget(assignment.target, readHost(assignment.target.host).kind !== "name"));
      added.push(...missing);
    }
  }
  return { env: added, warnings };
};

/** The downward API holds facts about the pod itself, and no target. */
const isOfThePod = (valueFrom: unknown): boolean =>
  typeof valueFrom === "object" && valueFrom !== null && ("fieldRef" in valueFrom || "resourceFieldRef" in valueFrom);

/** True for a value with a reference, in a host's position, that may bring what the webhook does not see. */
const hasOpenHost = (value: string | undefined, isKnown: (name: string) => boolean, work: Work): boolean => {
  if (value === undefined || !hasReference(value)) return false;
  if (!charge(work, 60 * value.length)) return false;
  return findPlaces(value).places.some(
    ({ host }) =>
      host.end - host.start <= 256 &&
      [...value.slice(host.start, host.end).matchAll(/(?<!\$)(?:\$\$)*\$\(([^)]*)\)/g)].some(
        ([, name]) => !isKnown(name as string),
      ),
  );
};

/** Where a target's address may be that the webhook does not see. Names only. */
const unseenIn = ({ container, env }: ContainerDraft, work: Work): readonly string[] => {
  const seen = new Set(env.flatMap(({ name, valueFrom }) => (valueFrom == null ? [name] : [])));
  return [
    ...env.filter(({ valueFrom }) => valueFrom != null && !isOfThePod(valueFrom)).map(({ name }) => name),
    ...env.filter(({ value }) => hasOpenHost(value, (name) => seen.has(name), work)).map(({ name }) => name),
    ...((container.envFrom ?? []).length > 0 ? ["envFrom"] : []),
  ];
};

/** Names the places that may hold the address of targets that no read env holds. */
export const unseenWarning = (
  unmatched: readonly Assignment[],
  drafts: readonly ContainerDraft[],
  work: Work,
): readonly string[] => {
  const unseen = unmatched.length === 0 ? [] : [...new Set(drafts.flatMap((draft) => unseenIn(draft, work)))];
  if (unseen.length === 0) return [];
  const targets = unmatched.map(({ target }) => target.name);
  return [`${listed(targets, MOST_NAMES)}: may be in what is not seen: ${listed(unseen, MOST_NAMES)}`];
};
