/** The account of a run as `-o json` and `-o table` print it. */
import * as z from "zod";
import { warningsOf } from "../../core/admission.ts";
import { address } from "../../core/target.ts";
import { envDiff } from "./masked.ts";
import { nameOf } from "../../manifests/stream.ts";
import type { Admitted } from "./run.ts";
import type { Tally } from "./tally.ts";

const outcome = z.enum(["inject", "audit", "skip", "reject", "fail"]);
const count = z.int().min(0);

const reportRow = z.strictObject({
  workload: z.string().describe("kind, namespace and name"),
  namespace: z.string(),
  where: z.string().describe("file:line of the annotation, or of the object"),
  outcome: outcome.describe("what the webhook would do"),
  reason: z.string().describe("the reason code: docs/reasons.md"),
  message: z.string().optional().describe("why it is rejected or failed, with the fix"),
  gateway: z.string().optional().describe("namespace/name"),
  targets: z.array(
    z.strictObject({ name: z.string(), target: z.string(), tunnel: z.string(), assignment: z.string() }),
  ),
  env: z.array(
    z.strictObject({
      container: z.string(),
      name: z.string(),
      change: z.enum(["set", "added"]),
      before: z.string().optional().describe("with --diff, passwords masked"),
      after: z.string().optional().describe("with --diff, passwords masked"),
    }),
  ),
  warnings: z.array(z.string()),
  suggestion: z
    .string()
    .optional()
    .describe("with --suggest: the annotation that an unannotated workload looks as if it needed"),
});
export type ReportRow = z.infer<typeof reportRow>;

const summary = z.strictObject({
  injected: count,
  rejected: count,
  unchanged: count,
  audited: count.describe("in audit mode"),
  failed: count,
  warnings: count,
  others: count.describe("objects that have no pods; of a live cluster: workloads that ask for nothing"),
  unreadable: count,
});

/**
 * The output of `-o json`. The version grows when a field goes away or changes its meaning; new fields may come within
 * a version.
 */
export const report = z.strictObject({
  version: z.literal(1),
  workloads: z.array(reportRow),
  unreadable: z.array(z.string()).describe("documents and files that cannot be read: file, line, reason and fix"),
  summary,
  namespaces: z.record(z.string(), summary).optional().describe("of a live cluster: the summary of each namespace"),
});
export type Report = z.infer<typeof report>;

/** The workloads of a cluster. `namespaces`: the tally of each. */
export type LiveReport = {
  readonly rows: readonly ReportRow[];
  readonly unreadable: readonly string[];
  readonly tally: Tally;
  readonly namespaces: ReadonlyMap<string, Tally>;
};

type Described = { readonly workload: Pick<Admitted["workload"], "kind" | "namespace" | "name" | "pod"> };

/**
 * A workload's row. An env's value is shown with `isDiff` only, masked, and where the patch is known: not in audit
 * mode.
 */
export const rowOf = (
  { workload, where, admission }: Pick<Admitted, "where" | "admission"> & Described,
  isDiff: boolean,
): ReportRow => {
  const { outcome, reason, message, gateway, assignments, changed, operations } = admission;
  const env = isDiff && operations.length > 0 ? envDiff(workload.pod, operations, changed) : changed;
  return {
    workload: nameOf(workload),
    namespace: workload.namespace,
    where,
    outcome,
    reason,
    ...(message !== undefined && { message }),
    ...(gateway !== undefined && { gateway }),
    targets: assignments.map(({ target, tunnel, host, port }) => ({
      name: target.name,
      target: address(target.host, target.port),
      tunnel,
      assignment: address(host, port),
    })),
    env: env.map(({ env: name, ...rest }) => ({ ...rest, name })),
    warnings: [...warningsOf(admission)], // the row gives the account in full
  };
};

const HEAD = ["WORKLOAD", "OUTCOME", "REASON", "WHERE"];

/** The table's lines; `paint` gives a row's line its colour. */
export const tableLines = (
  rows: readonly ReportRow[],
  paint: (outcome: ReportRow["outcome"], line: string) => string,
): readonly string[] => {
  const [head = "", ...lines] = aligned([
    HEAD,
    ...rows.map((row) => [row.workload, row.outcome, row.reason, row.where]),
  ]);
  return [head, ...rows.flatMap((row, index) => [paint(row.outcome, lines[index] ?? ""), ...details(row)])];
};

const details = (row: ReportRow): readonly string[] => [
  ...aligned(row.targets.map(({ name, target, assignment }) => [`  target ${name}`, target, "→", assignment])),
  ...aligned(
    row.env.map((env) => [`  env    ${env.name}`, env.change, `(container ${env.container})`, ...values(env)]),
  ),
  ...(row.suggestion === undefined ? [] : [`  it looks as if it needed: ${row.suggestion}`]),
  ...row.warnings.map((warning) => `  warning: ${warning}`),
  ...(row.message === undefined ? [] : [`  ${row.message}`]),
];

const values = ({ before, after }: ReportRow["env"][number]): readonly string[] =>
  before === undefined || after === undefined ? [] : [before, "→", after];

/** Columns padded to the widest cell; nothing at the end of a line. */
export const aligned = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = (rows[0] ?? []).map((_cell, column) =>
    rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
};
