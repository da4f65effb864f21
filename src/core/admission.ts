import type { Config } from "./config/config.ts";
import { perObject } from "./memo.ts";
import { listed, plain } from "./message.ts";
import type { PatchOperation } from "./patch.ts";
import { type FailCode, reasons, type ReasonCode, type Rejection, type SkipCode } from "./reasons.ts";
import { address, type Assignment, type Target } from "./target.ts";

export type Outcome = "skip" | "inject" | "audit" | "reject" | "fail";

/** An env that the redirect sets or adds; never its value. */
export type EnvChange = { readonly container: string; readonly env: string; readonly change: "set" | "added" };

/** How one admission ended: all that the webhook's answer, `inject`, `audit`, the log and the metrics are made from. */
export type Admission = {
  readonly outcome: Outcome;
  readonly reason: ReasonCode;
  /** For a person: why it was rejected, or would have been, or failed. */
  readonly message?: string;
  /** To be applied to the pod; empty unless the outcome is inject. */
  readonly operations: readonly PatchOperation[];
  /** Whole: the API server gets each cut. */
  readonly warnings: readonly string[];
  /** `namespace/name`. */
  readonly gateway?: string;
  readonly assignments: readonly Assignment[];
  /** The targets of a pod that audit mode let through, which enforce mode would refuse; absent: there are none. */
  readonly refusedTargets?: readonly Target[];
  readonly changed: readonly EnvChange[];
  /** All that holds a target's host and was not rewritten: `container/NAME`, `container: args[3]`. */
  readonly unread: readonly string[];
};

/** Of a refusal, which a person reads whole; it stands in the log too. */
const MAX_MESSAGE = 2000;
/** Names of env in the audit log. */
const MAX_NAMES = 50;
/** Of a text in a log. */
const LONGEST_TEXT = 4096;

/** A warning in full, as a log or a terminal may show it. The answer to the API server shortens it. */
const shown = (warning: string): string => plain(warning, MAX_MESSAGE);

const emptyAnswer = { operations: [], warnings: [], assignments: [], changed: [], unread: [] } as const;

export const skipped = (reason: SkipCode, warnings: readonly string[] = []): Admission => ({
  ...emptyAnswer,
  outcome: "skip",
  reason,
  warnings: warnings.map(shown),
});

/** The gateway (`namespace/name`) and the targets of a refused pod, as far as they are known. */
type Asked = { readonly gateway?: string | undefined; readonly targets?: readonly Target[] };

/** In audit mode no pod is refused: it is let through with a warning that says what enforce would do. */
export const refused = (
  { reason, message }: Rejection,
  mode: Config["mode"],
  { gateway, targets = [] }: Asked = {},
): Admission => ({
  ...emptyAnswer,
  outcome: mode === "audit" ? "audit" : "reject",
  reason,
  message: plain(message, MAX_MESSAGE),
  warnings: mode === "audit" ? [plain(`audit: ${reason}: would be rejected: ${message}`, MAX_MESSAGE)] : [],
  ...(gateway !== undefined && { gateway }),
  ...(mode === "audit" && targets.length > 0 && { refusedTargets: targets }),
});

export const failed = (reason: FailCode, detail: string, gateway?: string): Admission => ({
  ...emptyAnswer,
  outcome: "fail",
  reason,
  message: plain(`${reasons[reason].says}: ${detail}`, MAX_MESSAGE),
  ...(gateway !== undefined && { gateway }),
});

type Redirected = {
  readonly gateway: string;
  readonly assignments: readonly Assignment[];
  readonly operations: readonly PatchOperation[];
  readonly changed: readonly EnvChange[];
  readonly unread: readonly string[];
  readonly warnings: readonly string[];
};

/** All targets are assigned and redirected: the patch, or in audit mode the account of it. */
export const redirected = ({ operations, warnings, ...rest }: Redirected, mode: Config["mode"]): Admission => {
  if (operations.length === 0)
    return { ...rest, outcome: "skip", reason: "unchanged", operations, warnings: warnings.map(shown) };
  if (mode === "enforce")
    return { ...rest, outcome: "inject", reason: "injected", operations, warnings: warnings.map(shown) };
  return {
    ...rest,
    outcome: "audit",
    reason: "would-inject",
    operations: [],
    warnings: [...account(rest), ...warnings].map(shown),
  };
};

const account = ({ assignments, changed }: Pick<Redirected, "assignments" | "changed">): readonly string[] => [
  ...assignments.map(
    ({ target, host, port }) =>
      `audit: ${address(target.host, target.port)} would be reached at ${address(host, port)}`,
  ),
  ...(changed.length > 0 ? [`audit: env that would change: ${listed(changed.map((item) => item.env))}`] : []),
];

const targetsText = perObject((assignments: readonly Assignment[]) =>
  assignments.map(({ target, host, port }) => `${address(target.host, target.port)}=${address(host, port)}`).join(","),
);

/** `host:port` of each. */
export const addressesOf = perObject((targets: readonly Target[]): readonly string[] =>
  targets.map(({ host, port }) => address(host, port)),
);

/** An admission's warnings, without the account that those of audit mode give in them. */
export const warningsOf = ({ warnings }: Pick<Admission, "warnings">): readonly string[] =>
  warnings.filter((warning) => !warning.startsWith("audit: "));

/** The env that change, `container/NAME`, as a log may show them. */
export const envText = (changed: readonly EnvChange[]): string => {
  const names = changed.map(({ container, env }) => `${container}/${env}`);
  return plain(listed(names, MAX_NAMES), LONGEST_TEXT);
};

/** Key/value notes for the API server's audit log; `undefined` for a pod that is skipped. */
export const auditAnnotations = (admission: Admission): Readonly<Record<string, string>> | undefined => {
  if (admission.outcome === "skip") return undefined;
  const { outcome, reason, message, gateway, assignments, refusedTargets = [], changed } = admission;
  const said = warningsOf(admission);
  return {
    outcome,
    reason,
    ...(outcome === "audit" && message !== undefined && { message }),
    ...(outcome === "audit" && said.length > 0 && { warnings: plain(said.join("; "), LONGEST_TEXT) }),
    ...(gateway !== undefined && { gateway }),
    ...(assignments.length > 0 && { targets: targetsText(assignments) }),
    ...(refusedTargets.length > 0 && { targets: addressesOf(refusedTargets).join(",") }),
    ...(changed.length > 0 && { env: envText(changed) }),
  };
};
