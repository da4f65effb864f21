import { isReason, type ReasonCode, reasons } from "../core/reasons.ts";
import { type CheckCode, checkCodes } from "./codes.ts";
import type { CheckText, Command, Level } from "./codes/text.ts";

/** The state of one object: in order, or one cause and one fix. */
export type Finding = {
  readonly section: string;
  readonly level: Level;
  /** Absent where all is in order, or was not looked at. */
  readonly code?: CheckCode | ReasonCode;
  /** Kind, namespace and name. */
  readonly object: string;
  /** How it is; of a fault the cause. */
  readonly cause: string;
  readonly fix?: string;
  /** A command for a shell that mends it, or shows more. */
  readonly run?: string;
  readonly docs?: string;
};

/** The object of a finding's command: its namespace, its name (or several names), and a key in it. */
export type BrokenObject = { readonly namespace?: string | undefined; readonly name: string; readonly key?: string };

/** Of a command that names no object but the installation. */
export const NO_OBJECT: BrokenObject = { name: "" };

/** The documentation of the code, for those who have only the cluster. */
export const DOCS = "https://github.com/connve/flowgen-gateway-webhook/blob/main/docs";

export const docsOf = (code: string): string => {
  if (code in checkCodes) return `${DOCS}/findings.md#${code}`;
  return isReason(code) ? `${DOCS}/reasons.md#${reasons[code].outcome}` : `${DOCS}/reasons.md`;
};

/** The command of a code, about one object. Names of Kubernetes hold nothing that a shell reads. */
const commandFor = (run: string, { namespace = "", name, key = "" }: BrokenObject): string =>
  run.replace(/\b(NAMESPACE|NAME|KEY)\b/g, (word) => (word === "NAME" ? name : word === "KEY" ? key : namespace));

/** Refusals whose fix is a change of the config. */
const CONFIG_REASONS: ReadonlySet<ReasonCode> = new Set([
  ...(["gateway-unknown", "tunnel-unknown", "tunnel-namespace", "target-not-allowed", "alias-not-allowed"] as const),
  ...(["no-service-left", "gateway-full", "namespace-full"] as const),
]);

/** Makes the findings of a section: `say.ok(object, "how it is")`. */
export const findingsOf = (section: string) => ({
  ok: (object: string, cause: string): Finding => ({ section, level: "ok", object, cause }),
  /** Not looked at, and why. */
  unseen: (object: string, why: string): Finding => ({ section, level: "unseen", object, cause: why }),
  /** A fault by its code; `detail` says how this object is. Without a `place` it has no command. */
  fault: (code: CheckCode, object: string, detail?: string, place?: BrokenObject): Finding => {
    const { level, says, fix, run }: CheckText = checkCodes[code];
    const cause = detail === undefined ? says : `${detail}: ${says}`;
    const command = place !== undefined && run !== undefined ? { run: commandFor(run, place) } : {};
    return { section, level, code, object, cause, fix, ...command, docs: docsOf(code) };
  },
  /** A pod is refused, or cannot be decided. The message of a refusal holds its fix. */
  refused: (code: ReasonCode, object: string, message: string): Finding => {
    const text = reasons[code];
    const fix = "fix" in text ? text.fix : "remove what the cause names, where it is not meant";
    const end = `; ${fix}`;
    const cause = message.endsWith(end) ? message.slice(0, -end.length) : message;
    const command = CONFIG_REASONS.has(code) ? { run: "EDIT_CONFIG" satisfies Command } : {};
    return { section, level: "error", code, object, cause, fix, ...command, docs: docsOf(code) };
  },
});

/** A value that was read, or the reason why it could not be read. */
export type Seen<T> = { readonly kind: "seen"; readonly value: T } | { readonly kind: "unseen"; readonly why: string };

export const isSeen = <T>(seen: Seen<T>): seen is { readonly kind: "seen"; readonly value: T } => seen.kind === "seen";
