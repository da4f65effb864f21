/** The log's line of each admission. */
import type { FastifyBaseLogger } from "fastify";
import { addressesOf, type Admission, envText, warningsOf } from "../core/admission.ts";
import { address } from "../core/target.ts";
import { fitted } from "../core/warnings.ts";
import { createRefusals } from "./refusals.ts";
import type { Review } from "./review.ts";

const LEVEL = { skip: "info", inject: "info", audit: "info", reject: "warn", fail: "error" } as const;

/**
 * One line for each admission: names and codes, never an env's value, never a pod. Undefined fields are left out. In
 * audit mode it holds the warnings and the patch of the answer that enforce mode would give.
 */
const logFields = (
  { uid, namespace, podName, owner, dryRun }: Review,
  admission: Admission,
  ms: number,
  repeats: number,
): object => ({
  uid,
  namespace,
  pod: podName,
  owner: owner && `${owner.kind}/${owner.name}`,
  outcome: admission.outcome,
  reason: admission.reason,
  gateway: admission.gateway,
  detail: admission.message,
  ...(admission.outcome === "audit" && accountOf(admission)),
  repeats: repeats || undefined,
  dryRun: dryRun || undefined,
  ms: Math.round(ms * 100) / 100,
});

/** Names, addresses and sentences. `detail` says in words why enforce mode would refuse the pod. */
const accountOf = ({ assignments, refusedTargets = [], changed, warnings }: Admission): object => ({
  targets: [
    ...assignments.map(({ target, host, port }) => `${address(target.host, target.port)} at ${address(host, port)}`),
    ...addressesOf(refusedTargets),
  ],
  env: envText(changed),
  warnings: fitted(warningsOf({ warnings })),
});

/**
 * Writes the line; a refusal that comes again and again has one in a while, with the number of those between. `ms`: how
 * long it took.
 */
export const admissionLog = (log: FastifyBaseLogger): ((review: Review, admission: Admission, ms: number) => void) => {
  const refusals = createRefusals();
  return (review, admission, ms) => {
    const repeats = admission.outcome === "reject" ? refusals.seen(review, admission.reason) : 0;
    if (repeats !== undefined) log[LEVEL[admission.outcome]](logFields(review, admission, ms, repeats), "admission");
  };
};
