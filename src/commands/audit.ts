import type { Admission } from "../core/admission.ts";
import { address } from "../core/target.ts";
import type { Output } from "./inject.ts";
import { type ClusterName, connectCluster, inputName, readInput } from "./options.ts";
import { admitOffline, EMPTY_TABLE } from "./offline.ts";
import { readStream, type Workload } from "../manifests/stream.ts";

export type AuditOptions = {
  readonly file: string;
  readonly config: string;
  readonly namespace: string;
  /** Where the forward table is read; nothing is written there. */
  readonly cluster?: ClusterName;
  readonly output: "table" | "json";
};

type Row = {
  readonly workload: string;
  readonly outcome: Admission["outcome"];
  readonly reason: string;
  readonly message?: string;
  readonly gateway?: string;
  readonly targets: readonly { readonly name: string; readonly target: string; readonly assignment: string }[];
  readonly env: readonly { readonly container: string; readonly name: string; readonly change: string }[];
  readonly warnings: readonly string[];
};

/**
 * `audit -f`: what the webhook would do to each workload of a stream if the config's mode were enforce. Changes nothing, and never
 * shows an env's value. A pod whose own mode is audit is shown as what it would get (outcome audit), one that is disabled as
 * skipped. Assignments are those of the cluster's forward table, or of an empty one where no cluster is named.
 *
 * Returns the exit code: 0, or 1 when a workload would be rejected; a pod in audit mode never is. Throws a UsageError (exit
 * code 2) when file or config cannot be read.
 */
export const audit = async (options: AuditOptions, { out, err }: Output): Promise<0 | 1> => {
  const { file, config, namespace, cluster, output } = options;
  const { settings, text } = await readInput(file, config);
  const stream = readStream(text, inputName(file), namespace);
  const live = cluster && (await connectCluster(cluster));
  const { results } = await admitOffline(stream.workloads, { ...settings, mode: "enforce" }, live);
  if (cluster === undefined && results.some(({ admission }) => admission.assignments.length > 0)) err(EMPTY_TABLE);
  const rows = results.map(({ workload, admission }) => toRow(workload, admission));
  out(output === "json" ? `${JSON.stringify(rows, undefined, 2)}\n` : rowsText(rows));
  return rows.some(({ outcome }) => outcome === "reject" || outcome === "fail") ? 1 : 0;
};

const toRow = ({ kind, namespace, name }: Workload, admission: Admission): Row => ({
  workload: `${kind} ${namespace}/${name}`,
  outcome: admission.outcome,
  reason: admission.reason,
  ...(admission.message !== undefined && { message: admission.message }),
  ...(admission.gateway !== undefined && { gateway: admission.gateway }),
  targets: admission.assignments.map(({ target, host, port }) => ({
    name: target.name,
    target: address(target.host, target.port),
    assignment: address(host, port),
  })),
  env: admission.changed.map(({ container, env, change }) => ({ container, name: env, change })),
  // Those of audit mode say in short what the row says in full.
  warnings: admission.warnings.filter((warning) => !warning.startsWith("audit: ")),
});

const rowsText = (rows: readonly Row[]): string => {
  const head = aligned([
    ["WORKLOAD", "OUTCOME", "REASON"],
    ...rows.map((row) => [row.workload, row.outcome, row.reason]),
  ]);
  const [title = "", ...lines] = head;
  return [title, ...rows.flatMap((row, index) => [lines[index] ?? "", ...details(row)])]
    .map((line) => `${line}\n`)
    .join("");
};

const details = (row: Row): readonly string[] => [
  ...aligned(row.targets.map(({ name, target, assignment }) => [`  target ${name}`, target, "→", assignment])),
  ...aligned(row.env.map(({ container, name, change }) => [`  env    ${name}`, change, `(container ${container})`])),
  ...row.warnings.map((warning) => `  warning: ${warning}`),
  ...(row.message === undefined ? [] : [`  ${row.message}`]),
];

/** Columns padded to the widest cell; nothing at the end of a line. */
export const aligned = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
};
