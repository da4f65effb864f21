import { type KubeObject, refOf } from "../../cluster/cluster.ts";
import { isEqual } from "../../core/equal.ts";
import { joint } from "../../manifests/join.ts";
import { nameOf, type StreamObject } from "../../manifests/stream.ts";
import { objectText, styleOf } from "../../manifests/text.ts";
import { account } from "../audit/audit.ts";
import { envDiff } from "./masked.ts";
import { asWritten } from "./offline.ts";
import { coloured, type Output } from "../options/output.ts";
import { type Admitted, type Part, type Run, type ManifestOptions, startRun } from "./run.ts";

export type InjectOptions = ManifestOptions & {
  readonly output: "manifests" | "table" | "json";
  /** The gateways' objects are printed too. */
  readonly gateway: boolean;
};

/**
 * `inject`: the manifests with their workloads redirected. All other text passes through byte for byte, and injecting
 * the output again changes nothing. A document that cannot be read, or that has a rejected workload, is left out; the
 * others are printed. A workload is rejected where its hostAliases need an address that the cluster has not given yet:
 * a stand-in must not be applied.
 *
 * The gateways' objects are printed with `gateway` only. Applied to a cluster that has the gateway, those of an empty
 * table would overwrite the forwards of running pods. An object that the manifests hold already passes unchanged.
 *
 * Findings go to `err`, each with file and line. Returns the exit code: 0; 1 when a workload is rejected, or has a
 * warning, with `failOn`; 2 when an input cannot be read. Throws a UsageError (exit code 2) as `startRun` does.
 */
export const inject = async (options: InjectOptions, output: Output): Promise<0 | 1 | 2> => {
  if (options.output !== "manifests") return account({ ...options, output: options.output }, output, "inject");
  const run = await startRun(options, output, "inject");
  const held = new Map<string, StreamObject>();
  const printer = createPrinter(output);
  for await (const part of run.parts) {
    if (part.kind === "unreadable") await run.say(coloured(output, "err", "red", part.message));
    else {
      await sayFindings(part, run, options, output);
      for (const object of options.gateway ? part.stream.objects : []) held.set(idOf(object), object);
    }
    if (part.kind === "unreadable" || part.results.some(isRefused)) printer.leaveOut();
    else await printer.print(await patchedText(part, run, output), part.isFirst);
  }
  for (const manifest of options.gateway ? run.manifests() : []) {
    const there = held.get(idOf({ ...refOf(manifest), apiVersion: manifest.apiVersion }));
    if (there === undefined) await printer.add(manifest);
    else if (!isEqual(asWritten(there.value() as KubeObject), manifest))
      await warn(run, output, nameOf(there), "the manifests hold another one, which passes unchanged");
  }
  return run.end();
};

type Document = Extract<Part, { readonly kind: "document" }>;

const isRefused = ({ admission: { outcome } }: Admitted): boolean => outcome === "reject" || outcome === "fail";

const idOf = ({ apiVersion, kind, namespace, name }: Omit<StreamObject, "isWorkload" | "value">): string =>
  JSON.stringify([apiVersion, kind, namespace, name]);

/** A warning that no admission gives. */
const warn = async (run: Run, output: Output, about: string, text: string): Promise<void> => {
  run.tally.warnings += 1;
  await run.say(`${about}: ${coloured(output, "err", "yellow", "warning")}: ${text}`);
};

const sayFindings = async ({ results }: Document, run: Run, { diff }: InjectOptions, output: Output): Promise<void> => {
  for (const { workload, where, admission } of results) {
    const { reason, message = "", warnings, operations, changed } = admission;
    const about = `${where}: ${nameOf(workload)}`;
    if (isRefused({ workload, where, admission })) {
      const word = coloured(output, "err", "red", admission.outcome === "reject" ? "rejected" : "failed");
      await run.say(`${about}: ${word}: ${reason}: ${message}`);
    }
    for (const warning of warnings)
      await run.say(`${about}: ${coloured(output, "err", "yellow", "warning")}: ${warning}`);
    for (const { container, env, before, after } of diff && operations.length > 0
      ? envDiff(workload.pod, operations, changed)
      : [])
      await run.say(`${about}: env ${env} (container ${container}): ${before} → ${after}`);
  }
};

const patchedText = async ({ file, stream, results }: Document, run: Run, output: Output): Promise<string> => {
  for (const { workload, admission } of results)
    if (admission.operations.length > 0) workload.patch(admission.operations);
  const { text, rewritten } = stream.text();
  for (const line of rewritten)
    await warn(run, output, `${file}:${line}`, "a part of the document is written anew, and comments in it are lost");
  return text;
};

/** Prints documents one after another, and keeps those apart that did not follow each other. */
const createPrinter = ({ out }: Output) => {
  let last = "";
  let isNext = true;
  const print = async (text: string, isFirst: boolean): Promise<void> => {
    await out((isNext && !isFirst ? "" : joint(last, text)) + text);
    last = text;
    isNext = true;
  };
  return {
    print,
    /** The document that comes next does not follow the last one. */
    leaveOut: (): void => {
      isNext = false;
    },
    add: (object: KubeObject): Promise<void> => print(objectText(object, styleOf(last)), true),
  };
};
