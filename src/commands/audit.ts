import type { Admission } from "../core/admission.ts";
import { address } from "../core/target.ts";
import type { Output } from "./inject.ts";
import { loadConfig, readText } from "./options.ts";
import { admitOffline } from "./offline.ts";
import { readStream, type Workload } from "./stream.ts";

export type AuditOptions = {
  readonly file: string;
  readonly config: string;
  readonly namespace: string;
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
 * `audit -f`: what enforce mode would do to each workload of a stream. Changes nothing. Returns the exit code: 0, or 1 when a
 * workload would be rejected.
 */
export const audit = async ({ file, config, namespace, output }: AuditOptions, { out }: Output): Promise<0 | 1> => {
  const { workloads } = readStream(readText(file), file, namespace);
  const { results } = await admitOffline(workloads, { ...loadConfig(config), mode: "enforce" });
  const rows = results.map(({ workload, admission }) => toRow(workload, admission));
  out(output === "json" ? `${JSON.stringify(rows, undefined, 2)}\n` : tableText(rows));
  return rows.some((row) => row.outcome === "reject") ? 1 : 0;
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
  warnings: admission.warnings,
});

const tableText = (rows: readonly Row[]): string => {
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
