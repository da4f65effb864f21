/**
 * The value of a document as plain values in which nothing is shared: an alias is a copy, a merge is merged. So a
 * change of one place never changes another. Numbers keep the text that they were written with.
 */
import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from "yaml";
import { ManifestError } from "./document.ts";
import type { ManifestDocument, ManifestStream } from "./document.ts";

/** A number as it was written: what `0644`, `1e3` and a large integer mean is for Kubernetes to say. */
export class SourceNumber {
  readonly text: string;
  readonly value: number;
  constructor(text: string, value: number) {
    this.text = text;
    this.value = value;
  }
}

export type PlainMap = { [key: string]: unknown };

export const isPlainMap = (value: unknown): value is PlainMap =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** More values than this out of aliases are an attack: a few lines that expand to gigabytes. */
const MAX_ALIASED = 100_000;

type Reading = {
  readonly stream: ManifestStream;
  readonly anchors: Map<string, Node>;
  /** Nodes that are being read: an alias to one of them would never end. */
  readonly open: Set<Node>;
  depth: number;
  aliased: number;
};

/** A document's value. Throws a ManifestError for an alias without an anchor, into itself or to too much. */
export const valueOfDocument = (document: ManifestDocument, stream: ManifestStream): unknown =>
  valueOf(document.contents, { stream, anchors: new Map(), open: new Set(), depth: 0, aliased: 0 });

const valueOf = (node: unknown, reading: Reading): unknown => {
  if (isAlias(node)) return aliasValue(node, node.source, reading);
  if (reading.depth > 0 && (reading.aliased += 1) > MAX_ALIASED)
    throw refused(node, reading, "aliases expand to too much");
  if (!isScalar(node) && !isMap(node) && !isSeq(node)) return null;
  if (node.anchor !== undefined) reading.anchors.set(node.anchor, node);
  if (isScalar(node)) return scalarOf(node);
  reading.open.add(node);
  const value = isMap(node) ? mapValue(node, reading) : node.items.map((item) => valueOf(item, reading));
  reading.open.delete(node);
  return value;
};

/** The value of a scalar; undefined when the node is none. */
export const scalarOf = (node: unknown): unknown => {
  if (!isScalar(node)) return undefined;
  const { value, source } = node;
  return typeof value === "number" ? new SourceNumber(source ?? String(value), value) : value;
};

const aliasValue = (alias: Node, name: string, reading: Reading): unknown => {
  const node = reading.anchors.get(name);
  if (node === undefined) throw refused(alias, reading, "an alias names an anchor that is not above it");
  if (reading.open.has(node)) throw refused(alias, reading, "an alias stands inside its own anchor");
  reading.depth += 1;
  const value = valueOf(node, reading);
  reading.depth -= 1;
  return value;
};

const refused = (node: unknown, { stream }: Reading, why: string): ManifestError =>
  new ManifestError(`${stream.file}:${stream.lineOf((node as Node).range?.[0] ?? 0)}: ${why}; write the values out`);

/** A key as text; undefined for a merge, or for a map or list as key, which no manifest has. */
export const keyOf = ({ key }: Pair): string | undefined => {
  if (!isScalar(key) || isMergeKey(key.value)) return undefined;
  return typeof key.value === "string" ? key.value : (key.source ?? "");
};

/** The merge tag reads `<<` as a symbol. */
const isMergeKey = (key: unknown): boolean => typeof key === "symbol";
export const isMerge = ({ key }: Pair): boolean => isScalar(key) && isMergeKey(key.value);

/** Keys of the map itself go before merged ones, wherever the merge stands. */
const mapValue = (node: YAMLMap, reading: Reading): PlainMap => {
  const own: [string, unknown][] = [];
  const merged: [string, unknown][] = [];
  for (const pair of node.items) {
    const value = valueOf(pair.value, reading);
    const key = keyOf(pair);
    if (key !== undefined) own.push([key, value]);
    else if (isMerge(pair)) merged.unshift(...mergedEntries(value));
  }
  return Object.fromEntries([...merged, ...own]);
};

/** The entries that a merge gives, what goes first last. */
export const mergedEntries = (value: unknown): [string, unknown][] =>
  (Array.isArray(value) ? value.toReversed() : [value]).flatMap((source) =>
    isPlainMap(source) ? Object.entries(source) : [],
  );

/** A copy that shares nothing. */
export const copyOf = (value: unknown): unknown => mapped(value, (number) => number, false);

/** As the API server would see it: numbers as numbers, and a key without a value is as good as absent. */
export const plainOf = (value: unknown): unknown => mapped(value, (number) => number.value, true);

const mapped = (value: unknown, number: (value: SourceNumber) => unknown, isNullAbsent: boolean): unknown => {
  const inside = (item: unknown): unknown => mapped(item, number, isNullAbsent);
  if (value instanceof SourceNumber) return number(value);
  if (Array.isArray(value)) return value.map(inside);
  if (!isPlainMap(value)) return value;
  const entries = Object.entries(value).filter(([, item]) => !(isNullAbsent && item === null));
  return Object.fromEntries(entries.map(([key, item]) => [key, inside(item)]));
};

/** Whether two values are equal; the order of keys does not count. */
export const isSame = (a: unknown, b: unknown): boolean => {
  if (a instanceof SourceNumber && b instanceof SourceNumber) return a.text === b.text;
  if (a instanceof SourceNumber) return a.value === b;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  if (!isPlainMap(a) || !isPlainMap(b)) return a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key]));
};
