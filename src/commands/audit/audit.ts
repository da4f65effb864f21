import type { Purpose } from "../inject/offline.ts";
import { coloured, type Output } from "../options/output.ts";
import { type Report, type ReportRow, rowOf, tableLines } from "../inject/report.ts";
import { type Run, type ManifestOptions, startRun } from "../inject/run.ts";

export type AuditOptions = ManifestOptions & { readonly output: "table" | "json" };

/**
 * `audit -f`: the webhook's answer to each workload of the manifests, as if the config's mode were enforce. Changes
 * nothing. A pod in audit mode is shown with its answer (outcome audit), a disabled pod as skipped. An env's value is
 * shown with `diff` only, and never a password.
 *
 * Returns the exit code: 0; 1 when a workload would be rejected or has a warning, with `failOn`; 2 when an input cannot
 * be read. A pod in audit mode is never rejected. Throws a UsageError (exit code 2) as `startRun` does.
 */
export const audit = (options: AuditOptions, output: Output): Promise<0 | 1 | 2> => account(options, output, "audit");

/** Prints what the command would do to each workload, and returns the exit code as `audit` does. */
export const account = async (options: AuditOptions, output: Output, purpose: Purpose): Promise<0 | 1 | 2> => {
  const run = await startRun(options, output, purpose);
  await (options.output === "json" ? printJson : printTable)(run, options, output);
  return run.end();
};

export const COLOURS = { inject: "green", audit: "yellow", skip: "dim", reject: "red", fail: "red" } as const;

/** Columns are as wide as the widest cell: the rows are kept until the end. */
const printTable = async (run: Run, { diff }: AuditOptions, output: Output): Promise<void> => {
  const rows: ReportRow[] = [];
  for await (const part of run.parts) {
    if (part.kind === "unreadable") await run.say(coloured(output, "err", "red", part.message));
    else rows.push(...part.results.map((result) => rowOf(result, diff)));
  }
  if (rows.length === 0) return;
  const lines = tableLines(rows, (outcome, line) => coloured(output, "out", COLOURS[outcome], line));
  await output.out(lines.map((line) => `${line}\n`).join(""));
};

/** A row is printed when its workload was read. */
const printJson = async (run: Run, { diff }: AuditOptions, { out }: Output): Promise<void> => {
  const unreadable: string[] = [];
  let isFirst = true;
  const version: Report["version"] = 1;
  await out(`{\n  "version": ${version},\n  "workloads": [`);
  for await (const part of run.parts) {
    if (part.kind === "unreadable") unreadable.push(part.message);
    for (const result of part.kind === "document" ? part.results : []) {
      const row = JSON.stringify(rowOf(result, diff), undefined, 2).replaceAll("\n", "\n    ");
      await out(`${isFirst ? "" : ","}\n    ${row}`);
      isFirst = false;
    }
  }
  const rest = JSON.stringify({ unreadable, summary: run.tally }, undefined, 2).slice(1);
  await out(`${isFirst ? "" : "\n  "}],${rest}\n`);
};
