/** A container whose env were redirected, in words: warnings, and the names for the status. */
import { adviceFor, clientSettings } from "./advice.ts";
import type { ContainerDraft, Setup } from "./draft.ts";
import { noteText } from "./note.ts";
import { isIpHost } from "../host.ts";
import { isExpandedText } from "../pod.ts";
import { settingsPrefix } from "./port-env.ts";
import { referencesIn } from "./reference.ts";
import type { Dialed, Remark, Route, Routes, Settled } from "./settle.ts";
import type { Work } from "./work.ts";

/** A container while its env are redirected. */
export type RedirectedContainer = {
  readonly draft: ContainerDraft;
  readonly settled: Settled;
  /** The sightings before any replacement. */
  readonly first: Settled["first"];
  readonly dialed: Settled["dialed"];
  /** The sightings of each look, in order. */
  readonly remarks: readonly (readonly Remark[])[];
};

/**
 * The remarks of a container in words. A remark that an earlier look made about an env is not repeated for its new
 * host.
 */
export const remarkTexts = ({ remarks }: RedirectedContainer, { hosts: routes }: Routes): readonly string[] => {
  const said = new Map<string, { readonly look: number; readonly first: Remark; readonly hosts: string[] }>();
  for (const [look, batch] of remarks.entries()) {
    for (const remark of batch) {
      const { name, note, host } = remark;
      const key = JSON.stringify([name, note]);
      const before = said.get(key);
      if (before === undefined) said.set(key, { look, first: remark, hosts: [host] });
      else if (before.look === look) before.hosts.push(host);
    }
  }
  return [...said.values()].map(({ first, hosts }) =>
    noteText(first.name, first.note, hosts, [...(routes.get(first.host)?.ports ?? [])]),
  );
};

/** The names of the env that an annotation sets, and that do not hold their Service already. */
const newlySet = ({ container }: ContainerDraft, { settings }: Setup): ReadonlySet<string> => {
  const names = new Set(settings.keys());
  if (names.size === 0) return names;
  for (const { name, value } of container.env ?? []) if (settings.get(name)?.value === value) names.delete(name);
  return names;
};

/**
 * Advice for env whose client dials a Service from now on, and for arguments that refer to them. The text is right, and
 * the connection may still fail.
 */
export const adviceOf = (
  { draft, first, dialed: all }: RedirectedContainer,
  { hosts }: Routes,
  setup: Setup,
  work: Work,
): readonly string[] => {
  if (all.size === 0) return [];
  const set = newlySet(draft, setup);
  const dialed = new Map([...all].filter(([, { by }]) => first.edited.has(by) || set.has(by)));
  if (dialed.size === 0) return [];
  const settings = clientSettings(draft.env);
  const advice = (where: string, text: string, { host }: Dialed, name?: string): readonly string[] => {
    // A host that is dialed has a route.
    const { to } = hosts.get(host) as Route;
    const aliases = [...to.values()].flat().flatMap(({ target }) => target.aliases);
    const beside = name === undefined ? undefined : settings.get(settingsPrefix(name));
    return adviceFor(where, text, { isAddress: isIpHost(host), aliases: [...new Set(aliases)] }, beside);
  };
  const ofEnv = draft.env.flatMap(({ name, value = "" }) => {
    const each = dialed.get(name);
    return each === undefined ? [] : advice(name, value, each, name);
  });
  const ofTexts = (draft.container.texts ?? []).filter(isExpandedText).flatMap(({ at, text }) => {
    const each = referencesIn(text, work).flatMap((name) => dialed.get(name) ?? [])[0];
    return each === undefined ? [] : advice(`${draft.container.name}: ${at}`, text, each);
  });
  return [...ofEnv, ...ofTexts];
};

/** Names of all that holds a host and was not rewritten or not understood. */
export const unreadIn = ({ draft, settled }: RedirectedContainer): readonly string[] =>
  settled.last.remarks.map(({ name }) => `${draft.container.name}/${name}`);

/** `container/NAME` of the env that are set to, or hold, an assignment's address. */
export const leadingIn = ({ draft, settled }: RedirectedContainer, { settings }: Setup): readonly string[] =>
  [...settings.keys(), ...settled.last.leading].map((name) => `${draft.container.name}/${name}`);

/** Env that an annotation names, and whose `valueFrom` is replaced. */
export const replacedWarnings = ({ draft }: RedirectedContainer, { settings }: Setup): readonly string[] =>
  settings.size === 0
    ? []
    : (draft.container.env ?? [])
        .filter(({ name, valueFrom }) => valueFrom != null && settings.has(name))
        .map(({ name }) => `${name}: its valueFrom is replaced, because an annotation names it`);
