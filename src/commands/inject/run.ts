/**
 * The run that `inject` and `audit` share: every workload of the sources, admitted one after another, and its account.
 */
import type { Admission } from "../../core/admission.ts";
import { annotation } from "../../core/names.ts";
import { messageOf } from "../../core/message.ts";
import { ManifestError } from "../../manifests/document.ts";
import { splitStream, type StreamPart } from "../../manifests/split.ts";
import { nameOf, readStream, type Stream, type Workload } from "../../manifests/stream.ts";
import { type Admitter, createAdmitter, type Purpose } from "./offline.ts";
import { type ClusterName, connectCluster, readConfigFile, UsageError } from "../options/options.ts";
import { coloured, type Output } from "../options/output.ts";
import { openSources, type ManifestSource, type SourceOptions } from "./sources.ts";
import { count, emptyTally, type Tally, tallyText } from "./tally.ts";

export type ManifestOptions = SourceOptions & {
  readonly config: string;
  /** Of workloads that name none. */
  readonly namespace?: string;
  /** Where the forward table is read; nothing is written there. */
  readonly cluster?: ClusterName;
  /** The least that makes the exit code 1. */
  readonly failOn: "reject" | "warning";
  /** The changed env are shown with their masked values. */
  readonly diff: boolean;
};

export type Admitted = { readonly workload: Workload; readonly where: string; readonly admission: Admission };
/**
 * A document with its workloads; or, where it or its file cannot be read, why: a text that begins with file and line.
 */
export type Part =
  | {
      readonly kind: "document";
      readonly file: string;
      /** Of its source. */
      readonly isFirst: boolean;
      readonly stream: Stream;
      readonly results: readonly Admitted[];
    }
  | { readonly kind: "unreadable"; readonly message: string };

export type Run = {
  /** One after another: no more is kept than the document that is looked at. */
  readonly parts: AsyncGenerator<Part>;
  readonly tally: Tally;
  readonly manifests: Admitter["manifests"];
  /** Writes a line to `err`. */
  readonly say: (line: string) => unknown;
  /** Says how it went and returns the exit code: 2 for what could not be read, 1 for what is refused, else 0. */
  readonly end: () => Promise<0 | 1 | 2>;
};

const EMPTY_TABLE =
  "no --cluster: the answers are those of an empty forward table; --cluster kubeconfig reads the live one";

/**
 * Begins a run; `audit` answers as if the config's mode were enforce. Throws a UsageError (exit code 2) when the config
 * or a path cannot be read, or the cluster is not known.
 */
export const startRun = async (options: ManifestOptions, output: Output, purpose: Purpose): Promise<Run> => {
  const { file, config, cluster } = options;
  if (file.includes("-") && config === "-") throw new UsageError("--file and --config cannot both be standard input");
  const settings = await readConfigFile(config);
  const sources = await openSources(options);
  const live = cluster && (await connectCluster(cluster));
  const admitter = createAdmitter(purpose === "audit" ? { ...settings, mode: "enforce" } : settings, live, purpose);
  const tally = emptyTally();
  const progress = createProgress(output);
  let isOfEmptyTable = false;
  async function* parts(): AsyncGenerator<Part> {
    for (const source of sources) {
      for await (const part of partsOf(source, options.namespace ?? "", admitter)) {
        await progress.tick();
        if (part.kind === "unreadable") tally.unreadable += 1;
        else {
          tally.others += part.stream.objects.filter(({ isWorkload }) => !isWorkload).length;
          for (const { admission } of part.results) count(tally, admission);
          isOfEmptyTable ||= part.results.some(({ admission }) => admission.assignments.length > 0);
        }
        yield part;
      }
    }
  }
  const say: Run["say"] = async (line) => {
    await progress.clear();
    await output.err(`${line}\n`);
  };
  const end: Run["end"] = async () => {
    if (isOfEmptyTable && live === undefined) await say(EMPTY_TABLE);
    await say(coloured(output, "err", "dim", tallyText(tally)));
    const isRefused = tally.rejected + tally.failed > 0 || (options.failOn === "warning" && tally.warnings > 0);
    return tally.unreadable > 0 ? 2 : isRefused ? 1 : 0;
  };
  return { parts: parts(), tally, manifests: admitter.manifests, say, end };
};

/** A source that breaks off ends as an unreadable part; the other sources are read. */
async function* partsOf({ name, chunks }: ManifestSource, namespace: string, admitter: Admitter): AsyncGenerator<Part> {
  const parts = splitStream(chunks);
  for (;;) {
    try {
      const next = await parts.next();
      if (next.done === true) return;
      yield await admittedPart(next.value, name, namespace, admitter);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      yield { kind: "unreadable", message: messageOf(error) };
    }
  }
}

const admittedPart = async (
  { text, line }: StreamPart,
  file: string,
  namespace: string,
  admitter: Admitter,
): Promise<Part> => {
  const stream = readStream(text, file, namespace, line);
  const results: Admitted[] = [];
  for (const workload of stream.workloads) {
    const where = `${file}:${workload.line}`;
    if (workload.namespace === "" && workload.pod.metadata.annotations?.[annotation.targets] !== undefined)
      throw new ManifestError(
        `${where}: ${nameOf(workload)}: the manifest names no namespace, and what a pod may reach depends on it: name it with -n`,
      );
    const admission = await admitter.admit(workload);
    const warnings = [...workload.nearMisses, ...admission.warnings];
    results.push({ workload, where, admission: { ...admission, warnings } });
  }
  return { kind: "document", file, isFirst: line === 1, stream, results };
};

/** Milliseconds between two looks of a person at a number that grows. */
const PROGRESS_MS = 200;

/** On a terminal, a line that says how many documents have been read; it goes away before anything else is written. */
export const createProgress = ({ err, isWatched = false }: Output, what = "documents") => {
  let documents = 0;
  let shownAt = performance.now();
  let isShown = false;
  return {
    tick: async (): Promise<void> => {
      documents += 1;
      if (!isWatched || performance.now() - shownAt < PROGRESS_MS) return;
      shownAt = performance.now();
      isShown = true;
      await err(`\r${documents} ${what}`);
    },
    clear: async (): Promise<void> => {
      if (isShown) await err("\r\u001b[K");
      isShown = false;
    },
  };
};
