import jsonpatch from "fast-json-patch";
import { isMap, isSeq, type Node } from "yaml";
import type { PatchOperation } from "../core/patch.ts";
import { readPod, type Pod } from "../core/pod.ts";
import { issueTexts } from "../core/schema.ts";
import { changedText, listItems, styleOf, withObjects } from "./text.ts";
import { type ManifestDocument, ManifestError, type ManifestStream, parseStream } from "./document.ts";
import { copyOf, type Fields, isFields, isSame, plainOf, valueOfDocument } from "./value.ts";

type Path = readonly (string | number)[];

/** A workload found in a stream: what makes pods, or is one. */
export type Workload = {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  /** Its pods, as the API server would see one: the template with the workload's namespace. */
  readonly pod: Pod;
  /** Changes the workload where it stands in the stream. */
  readonly patch: (operations: readonly PatchOperation[]) => void;
};

export type Identity = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
};

/** A stream of manifests. Its text is the text that was read but for what was changed. */
export type Stream = {
  readonly workloads: readonly Workload[];
  /** The object of this identity, if the stream holds it. */
  readonly find: (identity: Identity) => Fields | undefined;
  /** Puts the object behind the others. */
  readonly add: (object: Fields) => void;
  readonly text: () => string;
};

/** Where the pod stands in the kinds that have one. */
const TEMPLATE: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  PodTemplate: ["template"],
  Deployment: ["spec", "template"],
  StatefulSet: ["spec", "template"],
  DaemonSet: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  ReplicationController: ["spec", "template"],
  Job: ["spec", "template"],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
};
/** Kubernetes' own; another group's Deployment or Job (`batch.volcano.sh`) is not ours to read. */
const GROUPS: ReadonlySet<string> = new Set(["", "apps", "batch", "extensions"]);

/** An object in a document: the document itself, or an item of a List. */
type ObjectEntry = Identity & { readonly part: Part; readonly path: Path };
type Part = { readonly document: ManifestDocument; readonly before: unknown; readonly after: { value: unknown } };

/**
 * Reads a stream of YAML documents, or JSON, with Lists in it. Throws a ManifestError with file, line and reason when it is not
 * YAML, or when a workload's template is no pod.
 */
export const readStream = (text: string, file: string, defaultNamespace: string): Stream => {
  const stream = parseStream(text, file);
  const style = styleOf(text);
  const parts = stream.documents
    .filter((document) => isMap(document.contents))
    .map((document) => partOf(document, stream));
  const entries = parts.flatMap((part) => entriesOf(part, [], part.before, "", defaultNamespace));
  const more: Fields[] = [];
  const isOf =
    (wanted: Identity) =>
    (entry: ObjectEntry): boolean =>
      (["apiVersion", "kind", "namespace", "name"] as const).every((field) => entry[field] === wanted[field]);
  return {
    workloads: entries.flatMap((entry) => workloadOf(entry, stream)),
    find: (identity) => {
      const entry = entries.find(isOf(identity));
      return entry && (plainOf(valueAt(entry.part.before, entry.path)) as Fields);
    },
    add: (object) => void more.push(object),
    text: () => {
      const items = style.json === undefined ? undefined : listItems(parts[0]?.after.value);
      items?.push(...more);
      const changes = parts
        .filter(({ before, after }) => !isSame(before, after.value))
        .map(({ document, after }) => ({ document, wanted: after.value }));
      const changed = changedText(stream, changes, style);
      return items === undefined ? withObjects(changed, more, style) : changed;
    },
  };
};

const partOf = (document: ManifestDocument, stream: ManifestStream): Part => {
  const before = valueOfDocument(document, stream);
  return { document, before, after: { value: copyOf(before) } };
};

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((at, step) => (isFields(at) || Array.isArray(at) ? (at as Fields)[step] : undefined), value);

/** The objects of a document; items of a typed list (DeploymentList) may leave out their kind. */
const entriesOf = (
  part: Part,
  path: Path,
  value: unknown,
  kindOfList: string,
  defaultNamespace: string,
): ObjectEntry[] => {
  if (!isFields(value)) return [];
  const { kind = kindOfList, items, metadata } = value;
  if (typeof kind !== "string") return [];
  if (kind.endsWith("List") && Array.isArray(items))
    return items.flatMap((item, index) =>
      entriesOf(part, [...path, "items", index], item, kind.slice(0, -"List".length), defaultNamespace),
    );
  const field = (name: string): string | undefined => {
    const text = isFields(metadata) ? metadata[name] : undefined;
    return typeof text === "string" ? text : undefined;
  };
  const name = field("name") ?? field("generateName") ?? "(no name)";
  const apiVersion = typeof value["apiVersion"] === "string" ? value["apiVersion"] : "";
  return [{ kind, name, namespace: field("namespace") ?? defaultNamespace, apiVersion, part, path }];
};

const workloadOf = (entry: ObjectEntry, stream: ManifestStream): Workload[] => {
  const { kind, name, namespace, apiVersion, part, path } = entry;
  const template = Object.hasOwn(TEMPLATE, kind) ? TEMPLATE[kind] : undefined;
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  if (template === undefined || !GROUPS.has(group)) return [];
  const at = [...path, ...template];
  const raw = plainOf(valueAt(part.before, at));
  if (raw === undefined || raw === null) return [];
  const read = readPod(isFields(raw) ? { metadata: {}, ...raw } : raw);
  if (read.kind === "invalid") {
    const [issue] = read.error.issues;
    const line = stream.lineOf(offsetOf(part.document, [...at, ...((issue?.path ?? []) as Path)]));
    const problems = issueTexts(template.join("."), read.error, 3).join("; ");
    throw new ManifestError(
      `${stream.file}:${line}: ${kind} ${namespace}/${name} is not a valid workload: ${problems}`,
    );
  }
  const patch: Workload["patch"] = (operations) => {
    const target = valueAt(part.after.value, at) as Fields;
    jsonpatch.applyPatch(target, structuredClone(operations) as PatchOperation[], false, true);
  };
  return [{ kind, name, namespace, pod: read.pod, patch }];
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
