import * as z from "zod";
import { ClusterError } from "../../cluster/cluster.ts";
import type { Reader } from "../../cluster/reader.ts";
import { commandIn, type InstallForm } from "../../checks/commands.ts";
import type { Finding } from "../../checks/finding.ts";
import { readInstalled } from "./installed.ts";
import { soon } from "./read.ts";
import { checkBefore, checkConfig, checkInstallation, type ConfigText, readConfigCheck } from "./installation.ts";
import { checkWorkload, readWorkloadName } from "./workload.ts";
import { connectReading, inputName, readText, UsageError } from "../options/options.ts";
import { coloured, type Output } from "../options/output.ts";

export type CheckOptions = {
  /** Nothing is installed yet. */
  readonly pre: boolean;
  /** Of a workload; without one, where a pod is tried. */
  readonly namespace?: string;
  /** A file, instead of the installation's. */
  readonly config?: string;
  readonly installName: string;
  readonly installNamespace: string;
  readonly cluster: "in-cluster" | "kubeconfig";
  readonly output: "table" | "short" | "json";
  readonly failOn: "error" | "warning";
};

const level = z.enum(["ok", "warning", "error", "unseen"]);
const findingShape = z.strictObject({
  section: z.string(),
  level: level.describe("unseen: not looked at, and the cause says why"),
  code: z.string().optional().describe("docs/findings.md and docs/reasons.md; `explain CODE` explains it"),
  object: z.string().describe("kind, namespace and name"),
  cause: z.string(),
  fix: z.string().optional(),
  run: z.string().optional().describe("a command for a shell that mends it, or shows more"),
  docs: z.string().optional(),
});
/** The output of `check -o json`. The version grows when a field goes away or changes its meaning. */
export const checkReport = z.strictObject({
  version: z.literal(1),
  findings: z.array(findingShape),
  first: findingShape.optional().describe("the error to mend first; others may follow from it"),
  summary: z.record(level, z.int().min(0)),
});

/**
 * `check`: each finding with its object, one cause and one fix. Reads only; a pod is tried by a dry run. An object that
 * the user may not read is named, and is no error.
 *
 * Returns the exit code: 0; 1 for an error (or a warning, with `failOn`). Throws a UsageError (exit code 2) for a wrong
 * name, and where the cluster or a file cannot be read.
 */
export const check = async (what: readonly string[], options: CheckOptions, output: Output): Promise<0 | 1> => {
  const findings = await findingsFor(what, options);
  await output.out(options.output === "json" ? jsonText(findings) : tableText(findings, options, output));
  const counts = countsOf(findings);
  return counts.error > 0 || (options.failOn === "warning" && counts.warning > 0) ? 1 : 0;
};

const findingsFor = async (
  [what, file, ...rest]: readonly string[],
  options: CheckOptions,
): Promise<readonly Finding[]> => {
  if (rest.length > 0) throw new UsageError(`check: ${rest.join(" ")}: too many arguments`);
  if (what === "config") {
    const path = file ?? options.config;
    if (path === undefined) throw new UsageError("check config: name the file: check config FILE");
    return inForm(checkConfig(await readConfigText(path)).findings, unread(options, path));
  }
  // As kubectl: `deploy NAME` is `deploy/NAME`.
  const workload = what === undefined ? undefined : readWorkloadName(file === undefined ? what : `${what}/${file}`);
  if (options.pre && what !== undefined) throw new UsageError(`check --pre ${what}: --pre looks at no workload`);
  const config = options.config === undefined ? undefined : await readConfigText(options.config);
  const reader = await connectReading(options.cluster);
  await requireAnswer(reader);
  const installation = { name: options.installName, namespace: options.installNamespace };
  const { namespace = "default" } = options;
  const lookAt = async (): Promise<readonly Finding[]> => {
    if (options.pre) return checkBefore(reader, installation, config);
    if (workload === undefined) return checkInstallation(reader, installation, namespace, config);
    const read = await readConfigCheck(reader, installation, config);
    return [
      ...(read.config === undefined ? read.findings : []),
      ...(await checkWorkload(reader, read.config, { ...workload, namespace })),
    ];
  };
  const [findings, installed] = await Promise.all([lookAt(), readInstalled(reader, installation, options.config)]);
  return inForm(findings, installed);
};

/** Without a cluster nothing is known of the installation but the config's file. */
const unread = ({ installName, installNamespace }: CheckOptions, file: string): InstallForm => ({
  ...{ name: installName, namespace: installNamespace, by: { kind: "kubectl" }, isElsewhere: false },
  config: { kind: "file", name: file },
});

/** Findings with their commands in the form of this installation. */
const inForm = (findings: readonly Finding[], installed: InstallForm): readonly Finding[] =>
  findings.map(({ run, ...finding }) => {
    const command = run === undefined ? undefined : commandIn(run, installed);
    return command === undefined ? finding : { ...finding, run: command };
  });

/** Without an answer, or for a user whom the API server does not know, nothing can be looked at. */
const requireAnswer = async (reader: Reader): Promise<void> => {
  try {
    await reader.version(soon());
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    if (error.code === 401)
      throw new UsageError("the API server does not know you (401): renew the kubeconfig's credentials");
    if (error.code === 0)
      throw new UsageError(error.message.replace(/^cannot get nodes: /, "the API server does not answer: "));
  }
};

const readConfigText = async (path: string): Promise<ConfigText> => ({
  text: await readText(path),
  from: inputName(path),
});

const countsOf = (findings: readonly Finding[]): Record<Finding["level"], number> => {
  const counts = { ok: 0, warning: 0, error: 0, unseen: 0 };
  for (const each of findings) counts[each.level] += 1;
  return counts;
};

const jsonText = (findings: readonly Finding[]): string => {
  const first = firstOf(findings);
  const report: z.infer<typeof checkReport> = {
    version: 1,
    findings: [...findings],
    ...(first !== undefined && { first }),
    summary: countsOf(findings),
  };
  return `${JSON.stringify(report, undefined, 2)}\n`;
};

const MARK = { ok: "√", warning: "‼", error: "×", unseen: "?" } as const;
const COLOUR = { ok: "green", warning: "yellow", error: "red", unseen: "dim" } as const;

/** The error to mend first. Findings stand in the order of the way to a target: what follows from another comes later. */
const firstOf = (findings: readonly Finding[]): Finding | undefined => findings.find(({ level }) => level === "error");

const tableText = (findings: readonly Finding[], { output: format }: CheckOptions, output: Output): string => {
  const shown = format === "short" ? findings.filter(({ level }) => level !== "ok") : findings;
  const painted = (finding: Finding): readonly string[] =>
    linesOf(finding).map((line) => coloured(output, "out", COLOUR[finding.level], line));
  const lines = shown.flatMap((finding, index) => [
    ...(format === "table" && finding.section !== shown[index - 1]?.section ? [finding.section] : []),
    ...painted(finding),
  ]);
  const first = firstOf(findings);
  // The only one needs no second look.
  const isAlone = shown.filter(({ level: each }) => each === "error" || each === "warning").length === 1;
  const end = first === undefined || isAlone ? [] : ["mend this first:", ...painted(first)];
  return [...lines, summaryOf(findings), ...end].map((line) => `${line}\n`).join("");
};

const summaryOf = (findings: readonly Finding[]): string => {
  const { ok, warning, error, unseen } = countsOf(findings);
  return `${countText(error, "error")}, ${countText(warning, "warning")}, ${ok} in order, ${unseen} not looked at`;
};
const countText = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

const linesOf = ({ level, code, object, cause, fix, run, docs }: Finding): readonly string[] => [
  `${MARK[level]} ${code === undefined ? "" : `${code}: `}${object}: ${cause}`,
  ...(fix === undefined ? [] : [`    fix: ${fix}`]),
  ...(run === undefined ? [] : [`    run: ${run}`]),
  ...(docs === undefined ? [] : [`    see ${docs}`]),
];
