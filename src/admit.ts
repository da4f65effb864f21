import { ClusterError, isDeadline } from "./cluster/cluster.ts";
import type { Provisioner } from "./provisioning/provisioner.ts";
import { type Admission, failed, redirected, refused, skipped } from "./core/admission.ts";
import type { Config } from "./core/config/config.ts";
import { perObject, perText } from "./core/memo.ts";
import { type Plan, type Planned, planPod } from "./core/plan.ts";
import type { Pod } from "./core/pod.ts";
import { redirectEnv, type Redirection } from "./core/env/redirect.ts";
import { type Aliasing, aliasHosts } from "./core/host-aliases.ts";
import type { Rejection } from "./core/reasons.ts";
import { markPod } from "./core/marks.ts";
import { goneAddress, statusOf } from "./core/status.ts";
import { type Assignment, targetsOf } from "./core/target.ts";
import { gatewayId } from "./core/names.ts";

/** How an admission shares the thread with others. */
export type Turn = {
  /** Runs a costly stage: at once, or when others have had their turn. */
  readonly take: <T>(stage: () => T) => T | Promise<T>;
  /** Runs what cannot wait; its time counts as well. */
  readonly count: <T>(work: () => T) => T;
};
const AT_ONCE: Turn = { take: (stage) => stage(), count: (work) => work() };

/** A pod that is about to be made. */
export type PodCreation = {
  readonly pod: Pod;
  /** Equal for equal pods, in any namespace. Absent: no equal pod came before, and nothing is kept for the next one. */
  readonly text?: string | undefined;
  /** The request's: the pod's own may be empty. */
  readonly namespace: string;
  /** Nothing may be written, and the answer is what the real one would be. */
  readonly dryRun: boolean;
  /** Ends all I/O. Called when the first call of the cluster is about to begin. */
  readonly signal: () => AbortSignal;
  /** Absent: no other admission waits. */
  readonly turn?: Turn;
};

export type Context = {
  readonly config: Config;
  readonly provision: Provisioner;
  /** Whether another config made the gateways: a refusal by this one may not be that one's. Absent: never. */
  readonly isBehind?: () => boolean;
  /** Written into the pod's status. */
  readonly version: string;
};

/**
 * The whole story of one admission: plan → provision → redirect → patch.
 *
 * - Plan (pure): which targets does the pod ask for, and may it have them?
 * - Provision (the only I/O, none when the forward table is cached): every target gets a forward. The gateway's objects
 *   exist before the pod receives an address.
 * - Redirect (pure): the pod's env and hostAliases name the gateway's Services.
 * - Patch: only the differences, so that the webhook leaves its own output alone.
 */
export const admit = async (creation: PodCreation, context: Context): Promise<Admission> => {
  const { dryRun, signal, turn = AT_ONCE } = creation;
  const { config, provision } = context;

  const key = creation.text === undefined ? undefined : `${creation.namespace} ${creation.text}`;
  const plan = await turn.take(() => planOf(key, creation, context));
  if (plan.kind === "skip") return skipped(plan.reason, plan.warnings);
  if (plan.kind === "reject")
    return context.isBehind?.() === true ? failed("superseded", plan.message) : refused(plan, plan.mode, plan);
  if (plan.kind === "fail") return failed(plan.reason, plan.detail, plan.gateway);

  const { gateway, mode, wants } = plan;
  const objection = (assignments: readonly Assignment[]): Rejection | undefined => {
    const redirect = turn.count(() => redirectPod(plan, assignments));
    return redirect.kind === "reject" ? redirect : undefined;
  };
  try {
    const write = mode === "enforce" && !dryRun;
    const provisioned = await provision({ config, gateway, wants, objection, write, signal });
    if (provisioned.kind === "reject") return refused(provisioned, mode, askedOf(plan));
    if (provisioned.kind === "fail") return failed(provisioned.reason, provisioned.detail, gatewayId(gateway));
    return await turn.take(() => answerOf(key, plan, provisioned.assignments, context));
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    return failed(isDeadline(error) ? "deadline" : "api-error", error.message, gatewayId(gateway));
  }
};

/**
 * Room for the plans and the answers of some thousand different pods, as a large cluster runs. A plan takes up to
 * twelve times its text: it has many small fields. An answer takes up to eight times its patch: the patch, its
 * operations and the JSON of both.
 */
const PLANS_BYTES = 32 * 1024 * 1024;
const PLAN_FACTOR = 12;
const ANSWERS_BYTES = 16 * 1024 * 1024;
const ANSWER_FACTOR = 8;
const ASSIGNMENT_BYTES = 500;
/** `{"op":"replace","path":"","value":""},` */
const OPERATION_TEXT = 40;

const plansBy = perObject((_context: Context) =>
  perText<Plan>(PLANS_BYTES, (_plan, text) => PLAN_FACTOR * text.length),
);

/**
 * Equal pods, such as those of a ReplicaSet, share one plan. The plan is made once, and so is all that follows from it.
 */
const planOf = (key: string | undefined, { pod, namespace }: PodCreation, context: Context): Plan => {
  const make = (): Plan => planPod(pod, namespace, context.config);
  return key === undefined ? make() : plansBy(context)(key, make);
};

/** Redirects all env and names of the pod to the assignments, or returns the reason to refuse the pod. */
const redirectPod = (
  { pod, before, readings }: Planned,
  assignments: readonly Assignment[],
): PodRedirect | Rejection => {
  const gone = goneAddress(pod, before, assignments);
  if (gone !== undefined) return gone;
  const aliases = aliasHosts(pod, assignments);
  if (aliases.kind === "reject") return aliases;
  const env = redirectEnv(pod, assignments, readings);
  return env.kind === "reject" ? env : { kind: "redirected", aliases, env };
};

type PodRedirect = { readonly kind: "redirected"; readonly aliases: Aliasing; readonly env: Redirection };

type Answer = { readonly assignments: readonly Assignment[]; readonly admission: Admission };

/** Bytes of an answer: its texts, and what stands around them. */
const answerSize = ({ assignments, admission: { operations, message = "" } }: Answer): number => {
  let text = 2 * message.length;
  for (const operation of operations) {
    const value = "value" in operation ? operation.value : "";
    text += operation.path.length + (typeof value === "string" ? value.length : JSON.stringify(value).length);
  }
  return ANSWER_FACTOR * (text + OPERATION_TEXT * operations.length) + ASSIGNMENT_BYTES * assignments.length;
};

const answersBy = perObject((_context: Context) => perText<Answer>(ANSWERS_BYTES, answerSize));

/** The answer for a plan, for as long as its assignments hold. */
const answerOf = (
  key: string | undefined,
  plan: Planned,
  assignments: readonly Assignment[],
  context: Context,
): Admission => {
  const make = (): Answer => ({ assignments, admission: redirectTo(plan, assignments, context.version) });
  const answer = key === undefined ? make() : answersBy(context)(key, make, (kept) => kept.assignments === assignments);
  return answer.admission;
};

/** A refusal's gateway and targets. */
const askedOf = ({ gateway, wants }: Planned) => ({ gateway: gatewayId(gateway), targets: targetsOf(wants) });

const redirectTo = (plan: Planned, assignments: readonly Assignment[], version: string): Admission => {
  const { pod, gateway, mode, warnings } = plan;
  const redirect = redirectPod(plan, assignments);
  if (redirect.kind === "reject") return refused(redirect, mode, askedOf(plan));
  const { aliases, env } = redirect;
  const unread = [...new Set([...env.unread, ...plan.unread])];
  const status = statusOf(gateway, assignments, { env: env.env, unread }, version);
  const marks = markPod(pod, gateway.name, assignments, status);
  const account = {
    gateway: gatewayId(gateway),
    assignments,
    operations: [...aliases.operations, ...env.operations, ...marks],
    changed: env.changed,
    unread,
    warnings: [...aliases.warnings, ...env.warnings, ...warnings],
  };
  return redirected(account, mode);
};
