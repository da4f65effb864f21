import { ClusterError, isDeadline } from "./cluster/cluster.ts";
import type { Provisioner } from "./cluster/provision.ts";
import { type Admission, failed, redirected, refused, skipped } from "./core/admission.ts";
import type { Config } from "./core/config.ts";
import { planPod } from "./core/plan.ts";
import type { Pod } from "./core/pod.ts";
import { redirectEnv } from "./core/redirect.ts";
import { formerAddresses, markPod, statusOf } from "./core/status.ts";

/** A pod that is about to be made. */
export type PodCreation = {
  readonly pod: Pod;
  /** The request's: the pod's own may be empty. */
  readonly namespace: string;
  /** Nothing may be written, and the answer is what the real one would be. */
  readonly dryRun: boolean;
  /** What ends all I/O; asked for when the first is about to begin. */
  readonly signal: () => AbortSignal;
};

export type Context = {
  readonly config: Config;
  readonly provision: Provisioner;
  /** Written into the pod's status. */
  readonly version: string;
};

/**
 * The whole story of one admission: plan → provision → redirect → patch.
 *
 * Plan (pure): is this pod ours, what does it want, may it have it? Provision (the only I/O, none when the forward table is
 * cached): every target gets a forward, and the gateway's objects exist, before the pod hears of an address. Redirect (pure):
 * the pod's env leads to the gateway. Patch: only what differs, so that the webhook leaves its own output alone.
 */
export const admit = async (creation: PodCreation, { config, provision, version }: Context): Promise<Admission> => {
  const { pod, namespace, dryRun, signal } = creation;

  const plan = planPod(pod, namespace, config);
  if (plan.kind === "skip") return skipped(plan.reason, plan.warnings);
  if (plan.kind === "reject") return refused(plan, plan.mode);

  const { gateway, mode, wants } = plan;
  const gatewayId = `${gateway.namespace}/${gateway.name}`;
  try {
    const provisioned = await provision({ config, gateway, wants, write: mode === "enforce" && !dryRun, signal });
    if (provisioned.kind === "reject") return refused(provisioned, mode, gatewayId);

    const { assignments } = provisioned;
    const redirect = redirectEnv(pod, assignments, formerAddresses(pod, assignments));
    if (redirect.kind === "reject") return refused(redirect, mode, gatewayId);

    const status = statusOf(gateway, assignments, redirect.env, version);
    const operations = [...redirect.operations, ...markPod(pod, gateway.name, assignments, status)];
    const warnings = [...plan.warnings, ...redirect.warnings];
    return redirected({ gateway: gatewayId, assignments, operations, changed: redirect.changed, warnings }, mode);
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    return failed(isDeadline(error) ? "deadline" : "api-error", error.message, gatewayId);
  }
};
