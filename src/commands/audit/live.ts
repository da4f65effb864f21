import { ClusterError } from "../../cluster/cluster.ts";
import type { Reader } from "../../cluster/reader.ts";
import { dataOf } from "../../checks/objects.ts";
import type { Config } from "../../core/config/config.ts";
import { annotation } from "../../core/names.ts";
import { suggestTargets } from "../../core/suggest.ts";
import { auditPage } from "./page.ts";
import { COLOURS } from "./audit.ts";
import { readInstalledConfig, getSeen, soon } from "../check/read.ts";
import { type LiveWorkload, liveWorkloads } from "./live-workloads.ts";
import { createAdmitter } from "../inject/offline.ts";
import { connectReading, parseConfig, readText, UsageError } from "../options/options.ts";
import { coloured, type Output } from "../options/output.ts";
import { aligned, type LiveReport, type Report, type ReportRow, rowOf, tableLines } from "../inject/report.ts";
import { createProgress } from "../inject/run.ts";
import { count, emptyTally, type Tally, tallyText } from "../inject/tally.ts";

export type AuditLiveOptions = {
  readonly cluster: "in-cluster" | "kubeconfig";
  /** `""`: all. */
  readonly namespace: string;
  /** Absent: the installation's. */
  readonly config: string | undefined;
  readonly suggest: boolean;
  readonly diff: boolean;
  readonly failOn: "reject" | "warning";
  readonly output: "table" | "json" | "html";
};

/**
 * `audit -A`, `audit -n NS`: every workload of a cluster against the live forward table, as if the config's mode were
 * enforce. Only reads. Workloads that neither ask for a target nor seem to need one are counted, and not listed.
 *
 * Returns the exit code: 0; 1 when a workload would be rejected, or has a warning, with `failOn`; 2 when a listing
 * cannot be read.
 */
export const auditLive = async (options: AuditLiveOptions, output: Output): Promise<0 | 1 | 2> => {
  const reader = await connectReading(options.cluster);
  const config = await configOf(reader, options.config);
  const report = await gather(reader, config, options, output);
  await print(report, options, output);
  const { tally } = report;
  await output.err(
    `${coloured(output, "err", "dim", tallyText(tally, "workload that asks for nothing", "workloads that ask for nothing"))}\n`,
  );
  const isRefused = tally.rejected + tally.failed > 0 || (options.failOn === "warning" && tally.warnings > 0);
  return tally.unreadable > 0 ? 2 : isRefused ? 1 : 0;
};

const INSTALLATION = { name: "flowgen-gateway-webhook", namespace: "flowgen-gateway-webhook" };
const configOf = async (reader: Reader, path: string | undefined): Promise<Config> => {
  if (path !== undefined) return parseConfig(await readText(path), path);
  const deployment = await getSeen(reader, "Deployment", INSTALLATION.namespace, INSTALLATION.name);
  const found = await readInstalledConfig(reader, INSTALLATION, deployment);
  if (found.kind === "seen" && found.value !== undefined) return parseConfig(found.value.text, found.value.from);
  const why = found.kind === "unseen" ? found.why : "the cluster has no installation in flowgen-gateway-webhook";
  throw new UsageError(`the webhook's config: ${why}; name its file with --config`);
};

const gather = async (
  reader: Reader,
  config: Config,
  { namespace, suggest, diff }: AuditLiveOptions,
  output: Output,
): Promise<LiveReport> => {
  const admitter = createAdmitter({ ...config, mode: "enforce" }, reader, "audit");
  const rows: ReportRow[] = [];
  const unreadable: string[] = [];
  const tally = emptyTally();
  const namespaces = new Map<string, Tally>();
  const progress = createProgress(output, "workloads");
  for await (const workload of liveWorkloads(reader, namespace, (message) => unreadable.push(message))) {
    await progress.tick();
    const admitted = await admitter.admit(workload);
    const admission = { ...admitted, warnings: [...workload.nearMisses, ...admitted.warnings] };
    const own = namespaces.get(workload.namespace) ?? emptyTally();
    namespaces.set(workload.namespace, own);
    const isSilent = admission.reason === "not-annotated" || admission.reason === "gateway-pod";
    if (isSilent && admission.warnings.length === 0) tally.others += 1;
    else [tally, own].forEach((each) => count(each, admission));
    const suggestion = suggest && isSilent ? await suggestionFor(reader, workload, config) : undefined;
    if (isSilent && admission.warnings.length === 0 && suggestion === undefined) continue;
    const row = rowOf({ workload, where: "cluster", admission }, diff);
    rows.push(suggestion === undefined ? row : { ...row, suggestion });
  }
  await progress.clear();
  tally.unreadable = unreadable.length;
  return { rows, unreadable, tally, namespaces };
};

/** Secrets are never read. A ConfigMap that may not be read, or is gone, says nothing. */
const suggestionFor = async (
  reader: Reader,
  { pod, namespace, configMaps }: LiveWorkload,
  config: Config,
): Promise<string | undefined> => {
  const files = await Promise.all(
    configMaps.map(async (name) => {
      try {
        const map = await reader.get({ kind: "ConfigMap", namespace, name }, soon());
        return map === undefined ? [] : Object.values(dataOf(map));
      } catch (error) {
        if (error instanceof ClusterError) return [];
        throw error;
      }
    }),
  );
  const targets = suggestTargets(pod, namespace, config, files.flat());
  return targets && `${annotation.targets}: ${JSON.stringify(targets)}`;
};

const print = async (report: LiveReport, { output: format }: AuditLiveOptions, output: Output): Promise<void> => {
  if (format === "html") {
    await output.out(auditPage(report, new Date()));
    return;
  }
  if (format === "json") {
    const { rows, unreadable, tally: summary, namespaces } = report;
    const whole: Report = {
      ...{ version: 1, workloads: [...rows], unreadable: [...unreadable], summary },
      namespaces: Object.fromEntries(namespaces),
    };
    await output.out(`${JSON.stringify(whole, undefined, 2)}\n`);
    return;
  }
  for (const message of report.unreadable) await output.err(`${coloured(output, "err", "red", message)}\n`);
  const lines = tableLines(report.rows, (outcome, line) => coloured(output, "out", COLOURS[outcome], line));
  const all = [...(report.rows.length > 0 ? [...lines, ""] : []), ...namespaceLines(report.namespaces)];
  await output.out(all.map((line) => `${line}\n`).join(""));
};

const HEAD = ["NAMESPACE", "INJECTED", "REJECTED", "UNCHANGED", "FAILED", "WARNINGS"];
/** The namespaces in which a workload asks for something. */
const namespaceLines = (namespaces: ReadonlyMap<string, Tally>): readonly string[] => {
  const asking = [...namespaces]
    .filter(([, each]) => each.injected + each.rejected + each.unchanged + each.failed + each.audited > 0)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, each]) =>
      [name, each.injected + each.audited, each.rejected, each.unchanged, each.failed, each.warnings].map(String),
    );
  return asking.length === 0 ? [] : aligned([HEAD, ...asking]);
};
