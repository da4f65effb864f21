import type { EnvVar } from "./pod.ts";
import type { Draft } from "./redirect.ts";
import type { Assignment } from "./target.ts";

const HOST_NAME = /^(.*?)(HOSTNAME|HOST|SERVER|ADDRESS|ADDR|ENDPOINT|IP)$/i;

/** The index of the env that holds the port of the host in env `name`: `X_HOST` → `X_PORT`, `PGHOST` → `PGPORT`, `X` → `X_PORT`. */
export const partnerOf = (env: readonly EnvVar[], name: string): number | undefined => {
  const match = HOST_NAME.exec(name);
  const names = [...(match === null ? [] : [`${match[1] ?? ""}PORT`, `${match[1] ?? ""}port`]), `${name}_PORT`, `${name}_port`];
  const index = env.findLastIndex((item) => names.includes(item.name));
  return index < 0 ? undefined : index;
};

/** The port that a text is, whole. */
export const plainPort = (text: string): number | undefined => (/^\s*[1-9]\d{0,4}\s*$/.test(text) ? Number(text) : undefined);

/** Sets an env (`index` undefined: a new one). */
export const setEnv = (draft: Draft, index: number | undefined, name: string, value: string): void => {
  draft.values.set(index ?? Math.max(draft.env.length, ...[...draft.values.keys()].map((key) => key + 1)), { name, value });
  draft.led.add(name);
};

/** Sets what the annotation names: `hostEnv`, `portEnv`, and the port env beside a host env. Added where absent. */
export const namedEnv = (draft: Draft, assignment: Assignment): void => {
  const { target, host, port } = assignment;
  for (const name of target.hostEnv) setNamed(draft, name, host);
  for (const name of target.portEnv) setNamed(draft, name, String(port));
  if (target.hostEnv.length === 0 || target.portEnv.length > 0) return;
  const partner = target.hostEnv.map((name) => partnerOf(draft.env, name)).find((index) => index !== undefined);
  const item = partner === undefined ? undefined : draft.env[partner];
  const held = item?.value === undefined ? undefined : plainPort(item.value);
  if (item !== undefined && (held === target.port || held === port)) setNamed(draft, item.name, String(port));
  else if (port !== target.port) draft.warnings.push(`${target.name}: the client must connect to port ${port}, not ${target.port}: name its portEnv`);
};

const setNamed = (draft: Draft, name: string, value: string): void => {
  const index = draft.env.findLastIndex((item) => item.name === name);
  const existing = draft.env[index];
  draft.led.add(name);
  if (existing?.value === value) return;
  if (existing?.valueFrom !== undefined) draft.warnings.push(`${name}: its valueFrom is replaced, as hostEnv or portEnv says`);
  setEnv(draft, existing === undefined ? undefined : index, name, value);
};
