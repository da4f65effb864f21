/** A container whose env were redirected, in words: warnings, and the names for the status. */
import { adviceFor } from "./advice.ts";
import type { ContainerDraft, Setup } from "./draft.ts";
import { noteText } from "./note.ts";
import type { Remark, Route, Routes, Settled } from "./settle.ts";

/** A container while its env are redirected. */
export type RedirectedContainer = {
  readonly draft: ContainerDraft;
  readonly settled: Settled;
  /** The sightings before any replacement. */
  readonly first: Settled["first"];
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

/** Advice for env that hold a Service now: the text is right, and the connection may still fail. */
export const adviceOf = ({ draft, first }: RedirectedContainer, { hosts }: Routes): readonly string[] =>
  [...first.replaced].flatMap(([name, host]) => {
    const value = draft.env.find((each) => each.name === name)?.value ?? "";
    // A host that was replaced has a route.
    const { to } = hosts.get(host) as Route;
    const aliases = [...to.values()].flat().flatMap(({ target }) => target.aliases);
    return adviceFor(name, value, /^[\d.]+$|:/.test(host), [...new Set(aliases)]);
  });

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
