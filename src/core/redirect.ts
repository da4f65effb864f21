import type { EnvChange } from "./admission.ts";
import { type Edit, editSource, expand, type Expanded } from "./env-expand.ts";
import { type Mapping, mappingsOf, matchText, mayHold } from "./env-match.ts";
import { namedEnv, partnerOf, plainPort, setEnv } from "./env-names.ts";
import { pointer, type PatchOperation } from "./patch.ts";
import type { Container, EnvVar, Pod } from "./pod.ts";
import type { Former } from "./status.ts";
import { address, type Assignment } from "./target.ts";

export type Redirection = {
  /** On env only. */
  readonly operations: readonly PatchOperation[];
  readonly changed: readonly EnvChange[];
  /** `container/NAME` of every env that leads to the gateway, changed or right already; the same when it is all done again. */
  readonly env: readonly string[];
  /** For a person; never an env's value. */
  readonly warnings: readonly string[];
};

/** What is decided for one container. */
export type Draft = {
  readonly name: string;
  readonly env: readonly EnvVar[];
  /** New values by index; beyond the end: added. */
  readonly values: Map<number, { readonly name: string; readonly value: string }>;
  readonly led: Set<string>;
  readonly reached: Set<Assignment>;
  readonly warnings: string[];
};

/**
 * Leads a pod's env to its assignments, in every container and init container (sidecars are init containers):
 * 1. env that the annotation names are set; 2. other literal values that hold a target's address get the gateway's;
 * 3. for a target that nothing matched, `<NAME>_HOST` and `<NAME>_PORT` are added.
 */
export const redirectEnv = (pod: Pod, assignments: readonly Assignment[], former: readonly Former[]): Redirection => {
  const groups = [
    ["initContainers", pod.spec.initContainers ?? []],
    ["containers", pod.spec.containers],
  ] as const;
  const places = groups.flatMap(([group, list]) => list.map((container, index) => ({ container, path: ["spec", group, index] as const })));
  const byValue = assignments.filter(({ target }) => target.hostEnv.length === 0);
  const mappings = mappingsOf(byValue, former.filter(({ assignment }) => byValue.includes(assignment)));
  const drafts = places.map(({ container }) => {
    const draft = newDraft(container);
    for (const assignment of assignments) namedEnv(draft, assignment);
    if (mappings.length > 0) redirectValues(draft, assignments, mappings);
    return draft;
  });
  for (const assignment of byValue) {
    if (!drafts.some((draft) => draft.reached.has(assignment))) drafts.forEach((draft) => { addEnv(draft, assignment); });
  }
  return {
    operations: drafts.flatMap((draft, index) => operationsOf(draft, places[index]?.path ?? [], places[index]?.container)),
    changed: drafts.flatMap((draft) =>
      [...draft.values].map(([index, { name }]) => ({ container: draft.name, env: name, change: index < draft.env.length ? ("set" as const) : ("added" as const) })),
    ),
    env: drafts.flatMap((draft) => [...draft.led].sort().map((name) => `${draft.name}/${name}`)),
    warnings: [...new Set(drafts.flatMap((draft) => draft.warnings))],
  };
};

const newDraft = ({ name, env }: Container): Draft => ({ name, env: env ?? [], values: new Map(), led: new Set(), reached: new Set(), warnings: [] });

const redirectValues = (draft: Draft, assignments: readonly Assignment[], mappings: readonly Mapping[]): void => {
  const named = new Set(assignments.flatMap(({ target }) => [...target.hostEnv, ...target.portEnv]));
  const isCandidate = mayHold(mappings);
  const edits = new Map<number, Edit[]>();
  const before = new Map<string, string>();
  const expanded = draft.env.map(({ name, value }) => {
    if (value === undefined) {
      before.delete(name);
      return undefined;
    }
    const result = expand(value, before);
    before.set(name, result.text);
    return result;
  });
  expanded.forEach((item, index) => {
    const name = draft.env[index]?.name ?? "";
    if (item !== undefined && !named.has(name) && isCandidate(item.text)) findEdits(draft, index, expanded, mappings, named, edits);
  });
  makeEdits(draft, expanded, edits);
};

/** Decides the edits of one env, and of the port env beside it. */
const findEdits = (
  draft: Draft,
  index: number,
  expanded: readonly (Expanded | undefined)[],
  mappings: readonly Mapping[],
  named: ReadonlySet<string>,
  edits: Map<number, Edit[]>,
): void => {
  const name = draft.env[index]?.name ?? "";
  const text = expanded[index]?.text ?? "";
  const partner = partnerOf(draft.env, name);
  const partnerText = partner === undefined ? undefined : expanded[partner]?.text;
  const partnerPort = partnerText === undefined ? undefined : plainPort(partnerText);
  const isAlone = /^[\s"']*[a-z0-9.:[\]-]+[\s"']*$/i.test(text);
  const matches = matchText(text, mappings, isAlone ? partnerPort : undefined);
  for (const note of matches.notes) draft.warnings.push(`${name}: ${note}`);
  if (matches.reached.length === 0) return;
  draft.led.add(name);
  for (const assignment of matches.reached) draft.reached.add(assignment);
  if (matches.edits.length > 0) edits.set(index, [...(edits.get(index) ?? []), ...matches.edits]);
  const [only] = matches.reached;
  const isPair = isAlone && plainPort(text.replace(/^.*:/s, "")) === undefined && partner !== undefined && partnerPort !== undefined && only !== undefined;
  const partnerName = draft.env[partner ?? -1]?.name ?? "";
  if (!isPair || named.has(partnerName)) return;
  draft.led.add(partnerName);
  if (partnerPort !== only.port) edits.set(partner, [{ at: [0, partnerText?.length ?? 0], text: String(only.port) }]);
};

/** Writes the edits back, in the env's order, so that a reference is judged by what it will expand to. */
const makeEdits = (draft: Draft, expanded: readonly (Expanded | undefined)[], edits: ReadonlyMap<number, readonly Edit[]>): void => {
  if (edits.size === 0) return;
  const after = new Map<string, string>();
  draft.env.forEach(({ name, value }, index) => {
    const item = expanded[index];
    if (value === undefined || item === undefined) {
      after.delete(name);
      return;
    }
    const wanted = edits.get(index);
    const edited = wanted === undefined ? value : editSource(value, item, wanted, after);
    if (edited === undefined) draft.warnings.push(`${name}: a reference in it cannot be followed; it is left as it is`);
    else if (edited !== value) setEnv(draft, index, name, edited);
    after.set(name, expand(edited ?? value, after).text);
  });
};

/** An existing env of that name with another value is never overwritten. */
const addEnv = (draft: Draft, { target, host, port }: Assignment): void => {
  const prefix = target.name.toUpperCase().replaceAll("-", "_");
  const [hostName, portName] = [`${prefix}_HOST`, `${prefix}_PORT`];
  const unseen = draft.env.filter(({ value }) => value === undefined).map(({ name }) => name);
  const note = unseen.length === 0 ? "" : ` (unseen: ${unseen.slice(0, 3).join(", ")})`;
  const taken = [hostName, portName].find((name) => draft.env.some((item) => item.name === name));
  if (taken !== undefined) {
    draft.warnings.push(`${taken} has another value and stays: nothing leads to ${address(target.host, target.port)}${note}`);
    return;
  }
  setEnv(draft, undefined, hostName, host);
  setEnv(draft, undefined, portName, String(port));
  draft.warnings.push(`no env holds ${address(target.host, target.port)}: ${hostName} and ${portName} are added${note}`);
};

const operationsOf = (draft: Draft, path: readonly (string | number)[], container: Container | undefined): readonly PatchOperation[] => {
  const operations: PatchOperation[] = [];
  if (draft.values.size > 0 && container?.env == null) operations.push({ op: "add", path: pointer(...path, "env"), value: [] });
  for (const [index, item] of draft.values) {
    const existing = draft.env[index];
    if (existing === undefined) operations.push({ op: "add", path: pointer(...path, "env", "-"), value: item });
    else if (existing.valueFrom !== undefined || existing.value === undefined) operations.push({ op: "replace", path: pointer(...path, "env", index), value: item });
    else operations.push({ op: "replace", path: pointer(...path, "env", index, "value"), value: item.value });
  }
  return operations;
};
