import type { EnvChange } from "../admission.ts";
import { adviceOf, leadingIn, type RedirectedContainer, remarkTexts, replacedWarnings, unreadIn } from "./account.ts";
import type { Readings } from "./container.ts";
import { type ContainerDraft, containerDrafts, patchOf, rulesOf, type Setup, settingsOf } from "./draft.ts";
import { heldElsewhere } from "./elsewhere.ts";
import { additionOf, unseenWarning } from "./fallback.ts";
import { MOST_NAMES, noteText } from "./note.ts";
import { keptEnv, srvRejection, tooMuch } from "./reading.ts";
import { routesOf, withAliases } from "./routes.ts";
import { type Routes, settle } from "./settle.ts";
import { isSpent, MOST_NAMES_TEXT, MOST_OPERATIONS, MOST_PATCH_TEXT, type Work, workOf } from "./work.ts";
import { perObject } from "../memo.ts";
import { listed } from "../message.ts";
import type { PatchOperation } from "../patch.ts";
import type { Pod } from "../pod.ts";
import type { Rejection } from "../reasons.ts";
import type { Assignment } from "../target.ts";

export type Redirection = {
  readonly kind: "redirect";
  /** Of env only; they apply in their order. */
  readonly operations: readonly PatchOperation[];
  readonly changed: readonly EnvChange[];
  /** `container/NAME` of every env that is set to, or holds, an assignment's address: the same on a second run. */
  readonly env: readonly string[];
  /**
   * All that holds a target's host or its address and was not rewritten or not understood: `container/NAME`,
   * `container: args[3]`, `hostAliases[0]`. The same on a second run.
   */
  readonly unread: readonly string[];
  /** Each once; never an env's value. */
  readonly warnings: readonly string[];
};

/** The effect of assignments on the env of any pod. */
const meaningOf = perObject((all: readonly Assignment[]) => {
  const assignments = all.filter(({ redirect }) => redirect === "env");
  const aliased = all.filter(({ redirect }) => redirect === "hostAlias");
  return {
    assignments,
    settings: settingsOf(assignments),
    routes: routesOf(assignments, aliased),
    byValue: assignments.filter(({ target }) => target.hostEnv.length === 0),
  };
});

type Job = { readonly setup: Setup; readonly routes: Routes; readonly readings: Readings; readonly work: Work };

const settledBy = (
  { setup, routes, readings, work }: Job,
  draft: ContainerDraft,
): Pick<RedirectedContainer, "draft" | "settled"> => {
  const settled = settle(draft.env, routes, rulesOf(setup), readings, work);
  return { draft: { ...draft, env: settled.env }, settled };
};

/** Forms that hold the host and are not replaced: an added env might contradict them. */
const HOLDING = new Set(["joined", "split", "long", "numeric", "srv", "share", "hosts-line"]);

const isHeld = (containers: readonly RedirectedContainer[], { target }: Assignment): boolean =>
  containers.some(({ settled }) =>
    settled.last.remarks.some(
      ({ host, note }) => note.kind === "left" && HOLDING.has(note.why) && (host === target.host || host === ""),
    ),
  );

const unmatchedOf = (
  containers: readonly RedirectedContainer[],
  byValue: readonly Assignment[],
): readonly Assignment[] =>
  byValue.filter(
    (each) =>
      !(
        containers.some(({ first }) => first.led.has(each)) &&
        containers.some(({ settled }) => settled.last.led.has(each))
      ),
  );

/**
 * Adds the env of targets that no env holds, until none is left to add. Regular containers only, since flows run there:
 * an init container that needs the target has an env of its own.
 */
const complete = (
  job: Job,
  start: readonly RedirectedContainer[],
  byValue: readonly Assignment[],
): { readonly containers: readonly RedirectedContainer[]; readonly warnings: readonly string[] } => {
  const warnings = new Set<string>();
  const grow = (container: RedirectedContainer, unmatched: readonly Assignment[]): RedirectedContainer => {
    const { draft, settled } = container;
    if (draft.field === "initContainers") return container;
    const addition = additionOf(draft, settled.portNames, unmatched, job.work);
    addition.warnings.forEach((warning) => warnings.add(warning));
    if (addition.env.length === 0) return container;
    const added = draft.added + addition.env.length;
    const next = settledBy(job, { ...draft, added, env: [...addition.env, ...draft.env] });
    return { ...container, ...next, remarks: [...container.remarks, next.settled.first.remarks] };
  };
  let containers = start;
  for (;;) {
    const unmatched = unmatchedOf(containers, byValue).filter((each) => !isHeld(containers, each));
    const grown = unmatched.length === 0 ? containers : containers.map((each) => grow(each, unmatched));
    const isDone = grown.every((each, at) => each === containers[at]);
    containers = grown;
    if (isDone || isSpent(job.work)) break;
  }
  const drafts = containers.map(({ draft }) => draft);
  return { containers, warnings: [...warnings, ...unseenWarning(unmatchedOf(start, byValue), drafts, job.work)] };
};

/** True where the patch or the names in the status would be larger than one pod's may be. */
const isTooLarge = (containers: readonly RedirectedContainer[], names: readonly string[]): boolean => {
  let operations = 0;
  let text = 0;
  for (const { draft } of containers) {
    for (const [at, each] of draft.env.entries()) {
      if (at >= draft.added && each === draft.container.env?.[at - draft.added]) continue;
      operations += 1;
      text += each.name.length + (each.value as string).length;
    }
  }
  return operations > MOST_OPERATIONS || text > MOST_PATCH_TEXT || names.join("").length > MOST_NAMES_TEXT;
};

const NO_READINGS: Readings = new Map();

const unique = (texts: readonly string[]): string[] => [...new Set(texts)];

/**
 * Replaces target hosts in a pod's env by the gateway's Services, in every container and init container. The env are
 * those that the annotation names, and those that hold a target's host; else new ones are added. A host is replaced and
 * nothing else. The result depends on the values alone and is read again, so a second run changes nothing. Targets of
 * the redirect `hostAlias` change no env.
 *
 * @param readings - what was read of the pod for its targets already
 */
export const redirectEnv = (
  pod: Pod,
  all: readonly Assignment[],
  readings: Readings = NO_READINGS,
  work: Work = workOf(),
): Redirection | Rejection => {
  const { assignments, settings, routes: meant, byValue } = meaningOf(all);
  const routes = withAliases(pod, meant);
  const setup = { reached: assignments, settings, keeps: keptEnv(pod) };
  const job = { setup, routes, readings: routes === meant ? readings : NO_READINGS, work };
  const drafts = assignments.length === 0 ? [] : containerDrafts(pod, setup, job.work);
  if (drafts === undefined) return tooMuch();
  const start = drafts.map((draft): RedirectedContainer => {
    const made = settledBy(job, draft);
    const { first, dialed } = made.settled;
    return { ...made, first, dialed, remarks: [first.remarks] };
  });
  const { containers, warnings } = complete(job, start, byValue);
  if (isSpent(job.work)) return tooMuch();
  for (const { draft, settled } of containers) if (settled.srv !== undefined) return srvRejection(draft, settled.srv);

  const isTarget = (host: string): boolean => routes.hosts.get(host)?.isAssigned === false;
  const isMapped = (name: string): boolean => all.some(({ names }) => names.includes(name));
  const elsewhere = assignments.length === 0 ? [] : heldElsewhere(pod, routes.known, isTarget, job.work, isMapped);
  const env = unique(containers.flatMap((each) => leadingIn(each, setup))).sort();
  const unread = unique([...containers.flatMap(unreadIn), ...elsewhere.map(({ where }) => where)]).sort();
  if (isSpent(job.work) || isTooLarge(containers, [...env, ...unread])) return tooMuch();
  const patches = containers.map(({ draft }) => patchOf(draft));
  return {
    kind: "redirect",
    operations: patches.flatMap(({ operations }) => operations),
    changed: patches.flatMap(({ changed }) => changed),
    env,
    unread,
    // Warnings about one place come before those about the pod: a wrong port is the reason, and the rest follows from it.
    warnings: unique([
      ...containers.flatMap((each) => remarkTexts(each, routes)),
      ...elsewhere.map(({ where, hosts, srv }) =>
        srv.length > 0
          ? noteText(where, { kind: "left", why: "srv" }, srv, [])
          : `${where} holds ${listed(unique(hosts), MOST_NAMES)}: left alone`,
      ),
      ...containers.flatMap((each) => replacedWarnings(each, setup)),
      ...warnings,
      ...containers.flatMap((each) => adviceOf(each, routes, setup, job.work)),
    ]),
  };
};
