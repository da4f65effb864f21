import jsonpatch from "fast-json-patch";
import { isMap, isSeq, type Node } from "yaml";
import { annotation } from "../core/names.ts";
import { nearMisses } from "../core/near-misses.ts";
import type { PatchOperation } from "../core/patch.ts";
import { readPod, type Pod } from "../core/pod.ts";
import { issueTexts } from "../core/schema.ts";
import { changedText } from "./text.ts";
import { type ManifestDocument, ManifestError, type ManifestStream, parseStream } from "./document.ts";
import { type Path, templatePaths, valueAt } from "./template.ts";
import { copyOf, type PlainMap, isPlainMap, plainOf, valueOfDocument } from "./value.ts";

/** A workload found in a stream: what makes pods, or is one. */
export type Workload = {
  readonly kind: string;
  readonly name: string;
  /** Empty where neither the manifest nor the caller names one. */
  readonly namespace: string;
  /** The line of the annotation that asks for targets, or of the object. */
  readonly line: number;
  /** Keys and values that resemble those that the webhook reads. */
  readonly nearMisses: readonly string[];
  /** Its pods, as the API server would see one: the template with the workload's namespace. */
  readonly pod: Pod;
  /** Changes the workload where it stands in the stream. */
  readonly patch: (operations: readonly PatchOperation[]) => void;
};

/** An object of a stream. */
export type StreamObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** It has pods. */
  readonly isWorkload: boolean;
  readonly value: () => PlainMap;
};

/** A stream of manifests. */
export type Stream = {
  readonly workloads: readonly Workload[];
  readonly objects: readonly StreamObject[];
  /**
   * The text that was read but for what was changed. `rewritten`: the lines of documents whose change had no place in
   * their text: they are written anew, or in part, and lost comments.
   */
  readonly text: () => { readonly text: string; readonly rewritten: readonly number[] };
};

/** An object in a document: the document itself, or an item of a List. */
type ObjectEntry = Omit<StreamObject, "value" | "isWorkload"> & {
  readonly part: Part;
  readonly path: Path;
  readonly object: PlainMap;
};
/** `after`: a copy of `before` once it is changed. */
type Part = { readonly document: ManifestDocument; readonly before: unknown; after?: unknown };

/**
 * Reads YAML documents, or JSON, with Lists in them. `line`: that of the file on which the text begins. Throws a
 * ManifestError with file, line and reason when it is not YAML, or when a workload's template is no pod.
 */
export const readStream = (text: string, file: string, defaultNamespace: string, line = 1): Stream => {
  const stream = parseStream(text, file, line);
  const parts = stream.documents
    .filter((document) => isMap(document.contents))
    .map((document): Part => ({ document, before: valueOfDocument(document, stream) }));
  const entries = parts.flatMap((part) => entriesOf(part, [], part.before, "", defaultNamespace));
  const read = entries.map((entry) => ({ entry, workloads: workloadsOf(entry, stream) }));
  return {
    workloads: read.flatMap(({ workloads }) => workloads),
    objects: read.map(({ entry: { object, ...entry }, workloads }) => ({
      ...entry,
      isWorkload: workloads.length > 0,
      value: () => plainOf(object) as PlainMap,
    })),
    text: () => {
      const changes = parts.flatMap(({ document, after }) =>
        after === undefined ? [] : [{ document, wanted: after }],
      );
      return changedText(stream, changes);
    },
  };
};

/** The objects of a document; items of a typed list (DeploymentList) may leave out their kind. */
const entriesOf = (
  part: Part,
  path: Path,
  value: unknown,
  kindOfList: string,
  defaultNamespace: string,
): ObjectEntry[] => {
  if (!isPlainMap(value)) return [];
  const { kind = kindOfList, items, metadata } = value;
  if (typeof kind !== "string") return [];
  if (kind.endsWith("List") && Array.isArray(items))
    return items.flatMap((item, index) =>
      entriesOf(part, [...path, "items", index], item, kind.slice(0, -"List".length), defaultNamespace),
    );
  const field = (name: string): string | undefined => {
    const text = isPlainMap(metadata) ? metadata[name] : undefined;
    return typeof text === "string" ? text : undefined;
  };
  const name = field("name") ?? field("generateName") ?? "(no name)";
  const apiVersion = typeof value["apiVersion"] === "string" ? value["apiVersion"] : "";
  return [{ apiVersion, kind, name, namespace: field("namespace") ?? defaultNamespace, object: value, part, path }];
};

const workloadsOf = (entry: ObjectEntry, stream: ManifestStream): readonly Workload[] =>
  templatePaths(entry.apiVersion, entry.kind, entry.object).flatMap((template) => workloadOf(entry, template, stream));

const workloadOf = (entry: ObjectEntry, template: Path, stream: ManifestStream): readonly Workload[] => {
  const { kind, name, namespace, part, path } = entry;
  const at = [...path, ...template];
  const raw = plainOf(valueAt(part.before, at));
  if (raw === undefined || raw === null) return [];
  const lineOf = (within: Path): number => stream.lineOf(offsetOf(part.document, within));
  const read = readPod(isPlainMap(raw) ? { metadata: {}, ...withNames(raw) } : raw);
  if (read.kind === "invalid") {
    const [issue] = read.error.issues;
    const line = lineOf([...at, ...((issue?.path ?? []) as Path)]);
    const problems = issueTexts(template.join("."), read.error, 3).join("; ");
    const isTargets = issue?.path.at(-1) === annotation.targets;
    const fix = isTargets ? ": an annotation is a text: write `|` after the key, or put the list in quotes" : "";
    throw new ManifestError(`${stream.file}:${line}: ${nameOf(entry)} is not a valid workload: ${problems}${fix}`);
  }
  const isAsking = read.pod.metadata.annotations?.[annotation.targets] !== undefined;
  const line = lineOf(isAsking ? [...at, "metadata", "annotations", annotation.targets] : path);
  const patch: Workload["patch"] = (operations) => {
    part.after ??= copyOf(part.before);
    const target = valueAt(part.after, at) as PlainMap;
    jsonpatch.applyPatch(target, structuredClone(operations) as PatchOperation[], false, true);
  };
  const marks = template.length === 0 ? undefined : marksOf(plainOf(entry.object));
  return [{ kind, name, namespace, line, pod: read.pod, nearMisses: nearMisses(read.pod, marks), patch }];
};

/** The labels and annotations of the object that a template stands in. */
const marksOf = (object: unknown): ReturnType<typeof readMarks> =>
  readMarks(isPlainMap(object) ? object["metadata"] : {});
const readMarks = (metadata: unknown) => {
  const { labels, annotations } = isPlainMap(metadata) ? metadata : {};
  return { labels: textsOf(labels), annotations: textsOf(annotations) };
};
const textsOf = (map: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(isPlainMap(map) ? map : {}).map(([key, value]) => [key, String(value)]));

/** An object as messages call it. */
export const nameOf = ({ kind, namespace, name }: Pick<StreamObject, "kind" | "namespace" | "name">): string =>
  `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`;

/** A container of Knative need not have a name. */
const withNames = (template: PlainMap): PlainMap => {
  const { spec } = template;
  if (!isPlainMap(spec) || !Array.isArray(spec["containers"])) return template;
  const containers = spec["containers"].map((item: unknown) =>
    isPlainMap(item) ? { name: "(no name)", ...item } : item,
  );
  return { ...template, spec: { ...spec, containers } };
};

/** Where a path begins in the text, or as much of it as is written in place. */
const offsetOf = (document: ManifestDocument, path: Path): number => {
  let node: Node = document.contents as Node;
  for (const step of path) {
    const next: unknown = isMap(node) || isSeq(node) ? node.get(step, true) : undefined;
    if (next === undefined || next === null) break;
    node = next as Node;
  }
  return node.range?.[0] ?? 0;
};
