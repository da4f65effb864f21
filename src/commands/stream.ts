import { type Document, isMap, isSeq, parseAllDocuments, visit } from "yaml";
import type { PatchOperation } from "../core/patch.ts";
import { podSchema, type Pod } from "../core/pod.ts";
import { issueTexts } from "../core/schema.ts";
import { UsageError } from "./options.ts";

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

/** A stream of manifests: its workloads, and the text of it, which is the text that was read but for what was patched. */
export type Stream = { readonly workloads: readonly Workload[]; readonly text: () => string };

const TEMPLATE: Readonly<Record<string, Path>> = {
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

/**
 * Reads a stream of YAML documents (JSON is YAML) with Lists in it. Throws a UsageError with file, line and reason when it is
 * no YAML, or when a workload's template is no pod.
 */
export const readStream = (text: string, file: string, defaultNamespace: string): Stream => {
  const documents = parseAllDocuments(text, { merge: true });
  if (!Array.isArray(documents)) return { workloads: [], text: () => text };
  const parts = documents.map((document) => readPart(document as Document, text, file, defaultNamespace));
  return {
    workloads: parts.flatMap((part) => part.workloads),
    text: () => joined(text, parts),
  };
};

type Part = {
  readonly workloads: readonly Workload[];
  readonly start: number;
  readonly end: number;
  readonly isPatched: () => boolean;
  readonly text: () => string;
};

/** A document's own text runs from its first content to its end; what stands between documents is kept as it is. */
const readPart = (document: Document, text: string, file: string, defaultNamespace: string): Part => {
  const [error] = document.errors;
  if (error !== undefined) throw new UsageError(`${file}: ${error.message}`);
  let patches = 0;
  const patch = (base: Path) => (operations: readonly PatchOperation[]) => {
    if (patches === 0 && operations.length > 0) unshare(document);
    operations.forEach((operation) => {
      applyTo(document, base, operation);
    });
    patches += operations.length;
  };
  const [start, , end] = document.range ?? [0, 0, 0];
  return {
    workloads: findWorkloads(document, [], file, defaultNamespace, patch),
    start,
    end,
    isPatched: () => patches > 0,
    text: () => (isJson(text) ? jsonText(document, text) : yamlText(document, text.slice(start, end))),
  };
};

const joined = (text: string, parts: readonly Part[]): string => {
  let at = 0;
  let out = "";
  for (const part of parts) {
    out += text.slice(at, part.start) + (part.isPatched() ? part.text() : text.slice(part.start, part.end));
    at = part.end;
  }
  return out + text.slice(at);
};

const isJson = (text: string): boolean => /^\s*[{[]/.test(text);

const jsonText = (document: Document, text: string): string => {
  const indent = /^[{[][ \t]*\r?\n([ \t]+)/.exec(text.trimStart())?.[1] ?? "";
  return `${JSON.stringify(document.toJS(), undefined, indent)}\n`;
};

/** Written back with comments and quotes as they were; lines are never folded. */
const yamlText = (document: Document, before: string): string => {
  const directives = /^---/.test(before);
  document.directives = undefined;
  const text = document.toString({
    lineWidth: 0,
    directives: false,
    indentSeq: /\n( *)\S[^\n]*:\n\1 +- /.test(before),
  });
  return `${directives ? "---\n" : ""}${text}`;
};

const findWorkloads = (
  document: Document,
  base: Path,
  file: string,
  defaultNamespace: string,
  patch: (base: Path) => Workload["patch"],
): Workload[] => {
  const kind = document.getIn([...base, "kind"]);
  const items = document.getIn([...base, "items"], true);
  if (typeof kind === "string" && kind.endsWith("List") && isSeq(items)) {
    return items.items.flatMap((_item, index) =>
      findWorkloads(document, [...base, "items", index], file, defaultNamespace, patch),
    );
  }
  const template = typeof kind === "string" && Object.hasOwn(TEMPLATE, kind) ? TEMPLATE[kind] : undefined;
  if (template === undefined || !isMap(document.getIn([...base, ...template], base.length + template.length > 0)))
    return [];
  return [readWorkload(document, base, String(kind), template, file, defaultNamespace, patch)];
};

const readWorkload = (
  document: Document,
  base: Path,
  kind: string,
  template: Path,
  file: string,
  defaultNamespace: string,
  patch: (base: Path) => Workload["patch"],
): Workload => {
  const at = (...path: Path): string | undefined => {
    const value = document.getIn([...base, ...path]);
    return typeof value === "string" ? value : undefined;
  };
  const name = at("metadata", "name") ?? at("metadata", "generateName") ?? "(no name)";
  const namespace = at("metadata", "namespace") ?? defaultNamespace;
  const raw = valueAt(document, [...base, ...template]);
  const parsed = podSchema.safeParse({ metadata: {}, ...(raw as object) });
  if (!parsed.success) {
    throw new UsageError(
      `${file}: ${kind} ${namespace}/${name}: ${issueTexts(template.join("."), parsed.error, 3).join("; ")}`,
    );
  }
  return { kind, name, namespace, pod: parsed.data, patch: patch([...base, ...template]) };
};

const valueAt = (document: Document, path: Path): unknown => {
  let value: unknown = document.toJS();
  for (const segment of path) value = (value as Record<string | number, unknown>)[segment];
  return value;
};

/**
 * Makes every alias and merge a copy of its own: a change of the pod template's labels must not reach the selector that shares
 * them. Only a document that has any loses its comments.
 */
const unshare = (document: Document): void => {
  let aliases = 0;
  visit(document, { Alias: () => void (aliases += 1) });
  if (aliases > 0) document.contents = document.createNode(document.toJS(), { aliasDuplicateObjects: false }) as never;
};

/** Applies one JSON Patch operation below `base`, in the document's tree, so that its comments and its order stay. */
const applyTo = (document: Document, base: Path, { op, path, ...rest }: PatchOperation): void => {
  const segments = path
    .split("/")
    .slice(1)
    .map((segment) => segment.replaceAll("~1", "/").replaceAll("~0", "~"));
  const full: (string | number)[] = [...base];
  for (const segment of segments)
    full.push(isSeq(document.getIn(full, true)) && segment !== "-" ? Number(segment) : segment);
  if (op === "remove") {
    document.deleteIn(full);
    return;
  }
  const node = document.createNode((rest as { value: unknown }).value);
  if (full.at(-1) === "-") document.addIn(full.slice(0, -1), node);
  else if (document.getIn(full.slice(0, -1), true) == null)
    document.setIn(full.slice(0, -1), document.createNode({ [String(full.at(-1))]: node }));
  else document.setIn(full, node);
};
