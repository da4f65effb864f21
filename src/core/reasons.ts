import { rejections, type RejectionText } from "./rejections.ts";

/**
 * Why an admission ended as it did: one code, one sentence, one fix. The webhook's answer, `audit`, the log, the
 * metrics' labels and the documentation all read this table; nothing else words an outcome.
 */
export const reasons = {
  // skip: allowed, no patch
  "not-pod-create": { outcome: "skip", says: "only the creation of a pod is looked at" },
  "not-annotated": { outcome: "skip", says: "the pod asks for no private target" },
  "mirror-pod": { outcome: "skip", says: "a mirror pod cannot be changed through the API server" },
  "gateway-pod": { outcome: "skip", says: "the pod is a gateway itself" },
  "not-flowgen": {
    outcome: "skip",
    says: "the pod is annotated but does not match the config's podSelector",
    fix: "give the pod the labels of podSelector, or remove the annotation",
  },
  disabled: { outcome: "skip", says: "flowgen.io/mode is disabled" },
  unchanged: { outcome: "skip", says: "nothing left to change: every target is redirected already" },

  // inject and audit
  injected: { outcome: "inject", says: "all targets are assigned, and the pod's env and hostAliases name the gateway" },
  "would-inject": { outcome: "audit", says: "in enforce mode all targets would be assigned" },

  ...rejections,

  // fail: HTTP 5xx and no review, so that failurePolicy decides
  deadline: { outcome: "fail", says: "the deadline came before the gateway's objects were written" },
  superseded: {
    outcome: "fail",
    says: "another config made the gateway, and this process does not know its grants; a process with that config answers the next try",
    fix: "finish the rollout; where no process has the newer config, write a higher `revision` into this one",
  },
  "format-newer": {
    outcome: "fail",
    says: "a newer version of the webhook wrote it; that version answers the next try",
    fix: "finish the upgrade, or follow the way back in docs/migration.md",
  },
  "api-error": { outcome: "fail", says: "the API server did not do what was asked" },
} as const satisfies Record<string, ReasonText>;

type ReasonText =
  | { readonly outcome: "skip" | "inject" | "audit" | "fail"; readonly says: string; readonly fix?: string }
  | RejectionText;

export type ReasonCode = keyof typeof reasons;

/** Whether a word is the code of a reason. */
export const isReason = (word: string): word is ReasonCode => Object.hasOwn(reasons, word);
type CodeOf<Outcome> = { [C in ReasonCode]: (typeof reasons)[C]["outcome"] extends Outcome ? C : never }[ReasonCode];
export type RejectCode = CodeOf<"reject">;
export type SkipCode = CodeOf<"skip">;
export type FailCode = CodeOf<"fail">;

/** A refusal as a value. `message` is what the user reads: where, what, why, what to do. Never holds an env's value. */
export type Rejection = { readonly kind: "reject"; readonly reason: RejectCode; readonly message: string };

/**
 * An admission that cannot be decided here: HTTP 5xx, so that the API server goes by failurePolicy and the pod's owner
 * tries again.
 */
export type Failure = { readonly kind: "fail"; readonly reason: FailCode; readonly detail: string };

export const fail = (reason: FailCode, detail: string): Failure => ({ kind: "fail", reason, detail });

/** A rejection whose message is `detail` (where and what), the code's sentence and its fix. */
export const reject = (reason: RejectCode, detail: string): Rejection => ({
  kind: "reject",
  reason,
  message: `${detail}: ${reasons[reason].says}; ${reasons[reason].fix}`,
});
