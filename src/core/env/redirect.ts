import type { EnvChange } from "../admission.ts";
import { type ContainerEnv, hasClientsPort, rewriteEnv } from "./container.ts";
import { type ContainerDraft, containerDrafts, namedIn, patchOf, type Settings, settingsOf } from "./draft.ts";
import { type FormerAddress, routesOf } from "./routes.ts";
import { portToUse } from "./value.ts";
import { unseenWarning, withUnmatched } from "./unmatched.ts";
import { perObject } from "../memo.ts";
import type { PatchOperation } from "../patch.ts";
import type { Pod } from "../pod.ts";
import { reject, type Rejection } from "../reasons.ts";
import type { Assignment } from "../target.ts";

export type Redirection = {
  readonly kind: "redirect";
  /** Of env only; they apply in their order. */
  readonly operations: readonly PatchOperation[];
  readonly changed: readonly EnvChange[];
  /** `container/NAME` of every env that now leads to the gateway: the same on a second run. */
  readonly env: readonly string[];
  /** Each once; never an env's value. */
  readonly warnings: readonly string[];
};

/** What a person should know about the env that are set by name. */
const namedWarnings = (
  drafts: readonly ContainerDraft[],
  assignments: readonly Assignment[],
  settings: Settings,
): readonly string[] => {
  const replaced = drafts.flatMap(({ container }) =>
    (container.env ?? [])
      .filter(({ name, valueFrom }) => valueFrom != null && settings.has(name))
      .map(({ name }) => `${name}: its valueFrom is replaced, because an annotation names it`),
  );
  const ports = assignments
    .filter(isUntold)
    .map(({ target, port }) => `${target.hostEnv.join(", ")}: ${portToUse(port, target.port)}`);
  return [...replaced, ...ports];
};

/** An annotation names the host's env alone, and the port is another than the target's. */
const isUntold = ({ target, port }: Assignment): boolean =>
  target.hostEnv.length > 0 && target.portEnv.length === 0 && port !== target.port;

/** What assignments mean for the env of any pod, but for former addresses. */
const meaningOf = perObject((assignments: readonly Assignment[]) => {
  const byValue = assignments.filter(({ target }) => target.hostEnv.length === 0);
  return { settings: settingsOf(assignments), byValue, routes: routesOf(assignments, byValue, []) };
});

/**
 * Makes a pod's env lead to the gateway, in every container and init container: env that the annotation names, else env
 * that hold a target's address, else new ones. Decides from the values alone, so a second run finds nothing to do.
 */
export const redirectEnv = (
  pod: Pod,
  assignments: readonly Assignment[],
  former: readonly FormerAddress[],
): Redirection | Rejection => {
  const meaning = meaningOf(assignments);
  const { settings, byValue } = meaning;
  const routes = former.length === 0 ? meaning.routes : routesOf(assignments, byValue, former);
  const rewrite = (draft: ContainerDraft): ContainerEnv => rewriteEnv(draft.env, routes, namedIn(settings, draft));

  const drafts = containerDrafts(pod, settings);
  const unserved = (containers: readonly { readonly result: ContainerEnv }[]): readonly Assignment[] =>
    byValue.filter((assignment) => !containers.some(({ result }) => result.matched.has(assignment)));
  let final = drafts.map((draft) => ({ draft, result: rewrite(draft) }));
  let unmatched = unserved(final);
  let added = withUnmatched(drafts, unmatched, assignments);
  // An env that is added may be the port of a host that stands alone, which then leads elsewhere: whoever lost it is served too.
  for (let more = unmatched; more.length > 0; unmatched = [...unmatched, ...more]) {
    added = withUnmatched(drafts, unmatched, assignments);
    final = added.drafts.map((draft) => ({ draft, result: rewrite(draft) }));
    const served = unmatched;
    more = unserved(final).filter((assignment) => !served.includes(assignment));
  }

  for (const { draft, result } of final) {
    if (result.refused === undefined) continue;
    const { reason, env, detail } = result.refused;
    const place = `spec.${draft.field}[${draft.container.name}].env[${env}]`;
    return reject(reason, detail === undefined ? place : `${place}: ${detail}`);
  }
  const told = (assignment: Assignment): boolean => final.some(({ result }) => result.told.has(assignment));
  const missing = assignments.find((each) => isUntold(each) && !hasClientsPort(each) && !told(each));
  if (missing !== undefined) {
    const { target, port } = missing;
    const named = `hostEnv ${target.hostEnv.join(", ")} of ${target.name}`;
    return reject("port-env-missing", `${named}: ${portToUse(port, target.port)}`);
  }
  const patches = final.map(({ draft, result }) => patchOf(draft, result.changes));
  const env = final.flatMap(({ draft, result }) =>
    [...settings.keys(), ...result.leading].map((name) => `${draft.container.name}/${name}`),
  );
  const warnings = [
    ...namedWarnings(drafts, assignments, settings),
    ...added.warnings,
    ...unseenWarning(unmatched, final),
    ...final.flatMap(({ result }) => result.warnings),
  ];
  return {
    kind: "redirect",
    operations: patches.flatMap(({ operations }) => operations),
    changed: patches.flatMap(({ changed }) => changed),
    env: [...new Set(env)].sort(),
    warnings: [...new Set(warnings)],
  };
};
