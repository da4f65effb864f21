import type { EnvChange } from "../admission.ts";
import type { EnvRules } from "./container.ts";
import { coveredByNoProxy, isNoProxy } from "./no-proxy.ts";
import { MOST_OPERATIONS, type Work } from "./work.ts";
import { perName } from "../memo.ts";
import { pointer, type PatchOperation } from "../patch.ts";
import type { Container, EnvVar, Pod } from "../pod.ts";
import type { Reached } from "../target.ts";

/** The value that an annotation sets an env to. `port`: the port that belongs to a value that is a host. */
type Setting = { readonly value: string; readonly port?: number };
export type Settings = ReadonlyMap<string, Setting>;

/** The settings of `hostEnv` and `portEnv`. Targets that name one env give it the same value. */
export const settingsOf = (reached: readonly Reached[]): Settings => {
  const settings = new Map<string, Setting>();
  const set = (name: string, setting: Setting): unknown => settings.has(name) || settings.set(name, setting);
  for (const { target, host } of reached)
    for (const name of target.hostEnv) set(name, { value: host, port: target.port });
  for (const { target } of reached) for (const name of target.portEnv) set(name, { value: String(target.port) });
  return settings;
};

/** The part of a redirect that does not depend on any value. */
export type Setup = {
  readonly reached: readonly Reached[];
  readonly settings: Settings;
  /** Env that the pod's `keep-env` excludes. */
  readonly keeps: ReadonlySet<string>;
};

/** Env that hold a password, or name whom to trust or to admit, or who issued a token: no program dials their value. */
const UNDIALLED = /TRUSTED_?(PROX|HOST|IP)|(^|_)ALLOWED_|CORS|ISSUER|(^|_)(PASSWORD|PASSWD|PASSPHRASE|PWD)(_|$)/i;

const isUndialled = perName((name) => UNDIALLED.test(name));

/** Which env are never looked at, and which are set. */
export const rulesOf = ({ settings, keeps }: Setup): EnvRules => ({
  portOf: (name) => settings.get(name)?.port,
  isSkipped: (name) => !settings.has(name) && (keeps.has(name) || isNoProxy(name) || isUndialled(name)),
});

/**
 * A container with the env as they are to be: `added` of them in front, so that a `$(VAR)` anywhere can refer to them.
 */
export type ContainerDraft = {
  readonly container: Container;
  readonly field: "containers" | "initContainers";
  readonly index: number;
  readonly added: number;
  readonly env: readonly EnvVar[];
};

const containerDraft = (
  { container, field, index }: Pick<ContainerDraft, "container" | "field" | "index">,
  { settings, reached, keeps }: Setup,
  work: Work,
): ContainerDraft => {
  const present = container.env ?? [];
  const names = settings.size === 0 ? undefined : new Set(present.map(({ name }) => name));
  const added = names === undefined ? [] : [...settings].filter(([name]) => !names.has(name));
  const isUnchanged = names === undefined && !present.some(({ name }) => isNoProxy(name));
  const env = isUnchanged
    ? present
    : present.map((entry) => {
        const value =
          settings.get(entry.name)?.value ??
          (keeps.has(entry.name) ? undefined : coveredByNoProxy(entry, reached, work));
        return value === undefined ? entry : { name: entry.name, value };
      });
  const front = added.map(([name, { value }]) => ({ name, value }));
  return { container, field, index, added: front.length, env: front.length === 0 ? env : [...front, ...env] };
};

/**
 * Every container of a pod, init containers first, with what does not depend on values set; undefined: more than may
 * be.
 */
export const containerDrafts = ({ spec }: Pod, setup: Setup, work: Work): readonly ContainerDraft[] | undefined => {
  const init = spec.initContainers ?? [];
  if (setup.settings.size * (init.length + spec.containers.length) > MOST_OPERATIONS) return undefined;
  const made = (field: ContainerDraft["field"]) => (container: Container, index: number) =>
    containerDraft({ container, field, index }, setup, work);
  return [...init.map(made("initContainers")), ...spec.containers.map(made("containers"))];
};

type Patch = { readonly operations: readonly PatchOperation[]; readonly changed: readonly EnvChange[] };

/** Values are set first, by the indices of the list as it is; then the added env go in front. */
export const patchOf = ({ container, field, index, added, env }: ContainerDraft): Patch => {
  const operations: PatchOperation[] = [];
  const changed: EnvChange[] = [];
  for (const [at, before] of (container.env ?? []).entries()) {
    const after = env[at + added] as EnvVar;
    if (after === before || (after.value === before.value && before.valueFrom == null)) continue;
    const path = pointer("spec", field, index, "env", at);
    if (before.valueFrom != null) operations.push({ op: "remove", path: `${path}/valueFrom` });
    operations.push({ op: before.value === undefined ? "add" : "replace", path: `${path}/value`, value: after.value });
    changed.push({ container: container.name, env: before.name, change: "set" });
  }
  const list = pointer("spec", field, index, "env");
  const entries = env.slice(0, added);
  if (entries.length > 0 && container.env == null) operations.push({ op: "add", path: list, value: entries });
  else for (const entry of entries.toReversed()) operations.push({ op: "add", path: `${list}/0`, value: entry });
  for (const { name } of entries) changed.push({ container: container.name, env: name, change: "added" });
  return { operations, changed };
};
