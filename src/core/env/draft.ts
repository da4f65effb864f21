import type { EnvChange } from "../admission.ts";
import type { Named } from "./relations.ts";
import { type Ports, portsOf } from "./routes.ts";
import { pointer, type PatchOperation } from "../patch.ts";
import type { Container, EnvVar, Pod } from "../pod.ts";
import type { Assignment } from "../target.ts";

/** A container with the env that will be put in front, so that a `$(VAR)` anywhere in the list can refer to them. */
export type ContainerDraft = {
  readonly container: Container;
  readonly field: "containers" | "initContainers";
  readonly index: number;
  readonly added: readonly EnvVar[];
  /** Added and present env; those set by name have their new value. */
  readonly env: readonly EnvVar[];
  /** What ports mean beside the hosts among the added env that no annotation names. */
  readonly ports: ReadonlyMap<string, Ports>;
};

/** What an annotation sets an env to, and what ports mean beside it if that is a host. */
type Setting = { readonly value: string; readonly ports?: Ports };
export type Settings = ReadonlyMap<string, Setting>;

/** What `hostEnv` and `portEnv` ask for; the first target that names an env gets it. */
export const settingsOf = (assignments: readonly Assignment[]): Settings => {
  const settings = new Map<string, Setting>();
  const set = (name: string, setting: Setting): unknown => settings.has(name) || settings.set(name, setting);
  for (const each of assignments)
    for (const env of each.target.hostEnv) set(env, { value: each.host, ports: portsOf(each) });
  for (const { target, port } of assignments) for (const env of target.portEnv) set(env, { value: String(port) });
  return settings;
};

/** The env of a draft that hold a host or port because somebody named them. */
export const namedIn = (settings: Settings, { ports }: ContainerDraft): Named => ({
  has: (name) => settings.has(name),
  portsOf: (name) => settings.get(name)?.ports ?? ports.get(name),
});

const containerDraft = (
  container: Container,
  field: ContainerDraft["field"],
  index: number,
  settings: Settings,
): ContainerDraft => {
  const present = container.env ?? [];
  if (settings.size === 0) return { container, field, index, added: [], env: present, ports: new Map() };
  const names = new Set(present.map(({ name }) => name));
  const added = [...settings].filter(([name]) => !names.has(name)).map(([name, { value }]) => ({ name, value }));
  const env = present.map((entry) => {
    const value = settings.get(entry.name)?.value;
    return value === undefined ? entry : { ...entry, value, valueFrom: undefined };
  });
  return { container, field, index, added, env: [...added, ...env], ports: new Map() };
};

/** Every container of a pod, init containers first, with the named env set. */
export const containerDrafts = ({ spec }: Pod, settings: Settings): ContainerDraft[] => [
  ...(spec.initContainers ?? []).map((each, index) => containerDraft(each, "initContainers", index, settings)),
  ...spec.containers.map((each, index) => containerDraft(each, "containers", index, settings)),
];

type Patch = { readonly operations: readonly PatchOperation[]; readonly changed: readonly EnvChange[] };

/** Values are set first, by the indices of the list as it is; then the added env go in front. */
export const patchOf = (
  { container, field, index, added, env }: ContainerDraft,
  changes: ReadonlyMap<number, string>,
): Patch => {
  const operations: PatchOperation[] = [];
  const changed: EnvChange[] = [];
  for (const [at, before] of (container.env ?? []).entries()) {
    const after = env[at + added.length];
    const value = changes.get(at + added.length) ?? after?.value;
    const isReplaced = before.valueFrom != null && after?.valueFrom == null;
    if (value === before.value && !isReplaced) continue;
    const path = ["spec", field, index, "env", at];
    if (isReplaced) operations.push({ op: "remove", path: pointer(...path, "valueFrom") });
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
