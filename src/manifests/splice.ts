/**
 * Changes a document's text to hold another value, and keeps every other character: comments, order, quotes,
 * indentation, numbers.
 *
 * The document's tree is walked beside the wanted value. Where they differ, the text of that place is replaced, or a
 * line is inserted. Anchors and merges are followed with their value after the change. An alias whose value would
 * become wrong is replaced by the wanted value.
 */
import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap, type YAMLSeq } from "yaml";
import type { Edit } from "../core/edit.ts";
import {
  columnOf,
  deletePairs,
  insertItems,
  insertPair,
  newValue,
  type NodePlace,
  replacePair,
  type SourceText,
} from "./edits.ts";
import { type PlainMap, isPlainMap, isMerge, isSame, keyOf, mergedEntries, scalarOf } from "./value.ts";

type Walk = {
  readonly source: SourceText;
  readonly edits: Edit[];
  /** The value of each anchor after the change. */
  readonly anchors: Map<string, unknown>;
};

/** The edits, in the order of the text, after which `contents` says `wanted`. */
export const editsOf = (contents: Node, wanted: unknown, source: SourceText): readonly Edit[] => {
  const walk: Walk = { source, edits: [], anchors: new Map() };
  visit(walk, contents, wanted, { column: 0, isItem: false, isFlow: (contents as { flow?: boolean }).flow === true });
  return walk.edits.toSorted((a, b) => a.start - b.start);
};

const visit = (walk: Walk, node: Node, wanted: unknown, place: NodePlace): void => {
  const { source, edits, anchors } = walk;
  if (isAlias(node)) {
    if (!isSame(anchors.get(node.source), wanted)) edits.push(newValue(source, node, wanted, place));
    return;
  }
  const { anchor } = node as { anchor?: string };
  if (anchor !== undefined) anchors.set(anchor, wanted);
  if (isMap(node) && isPlainMap(wanted) && isWalkable(walk, node, wanted)) visitMap(walk, node, wanted, place);
  else if (isSeq(node) && Array.isArray(wanted) && hasGrown(node, wanted)) visitSeq(walk, node, wanted, place);
  else if (!isScalar(node) || !isSame(scalarOf(node), wanted)) edits.push(newValue(source, node, wanted, place));
};

/** The value of the map's merges after the change. */
const mergedOf = ({ anchors }: Walk, map: YAMLMap): PlainMap => {
  const said = (node: unknown): unknown => {
    if (isAlias(node)) return anchors.get(node.source);
    if (isSeq(node)) return node.items.map(said);
    return isMap(node) ? Object.fromEntries(node.items.map((pair) => [keyOf(pair), scalarOf(pair.value)])) : undefined;
  };
  return Object.fromEntries(map.items.filter(isMerge).flatMap((pair) => mergedEntries(said(pair.value))));
};

/**
 * Not walked but written anew: a map that gets its first or loses its last pair, and one whose merge gives too much.
 */
const isWalkable = (walk: Walk, map: YAMLMap, wanted: PlainMap): boolean => {
  const isKept = (pair: Pair): boolean => isMerge(pair) || Object.hasOwn(wanted, keyOf(pair) ?? "");
  return (
    (map.items.some(isKept) || Object.keys(wanted).length === map.items.length) &&
    map.items.every((pair) => pair.value !== null && (isMerge(pair) || keyOf(pair) !== undefined)) &&
    Object.keys(mergedOf(walk, map)).every((key) => Object.hasOwn(wanted, key))
  );
};

const visitMap = (walk: Walk, map: YAMLMap, wanted: PlainMap, { isFlow }: NodePlace): void => {
  const { source, edits } = walk;
  const merged = mergedOf(walk, map);
  const own = new Set(map.items.map(keyOf));
  const isThere = (key: string): boolean =>
    own.has(key) || (Object.hasOwn(merged, key) && isSame(merged[key], wanted[key]));
  const added = Object.keys(wanted).filter((key) => !isThere(key));
  const gone: Pair[] = [];
  for (const pair of map.items) {
    const key = keyOf(pair);
    const place = { column: columnOf(source, pair.key), isItem: false, isFlow: isFlow || map.flow === true };
    if (key !== undefined && Object.hasOwn(wanted, key)) visit(walk, pair.value as Node, wanted[key], place);
    else if (key !== undefined) gone.push(pair);
  }
  // // A new key takes the place of a removed one: a value for a valueFrom.
  added.forEach((key, index) => {
    const pair = gone[index];
    edits.push(
      pair === undefined ? insertPair(source, map, key, wanted[key]) : replacePair(source, map, pair, key, wanted[key]),
    );
  });
  edits.push(...deletePairs(source, map, gone.slice(added.length)));
};

const hasGrown = ({ items }: YAMLSeq, wanted: readonly unknown[]): boolean =>
  wanted.length >= items.length && (items.length > 0 || wanted.length === 0);

/** Lists grow at their front (env) or at their end (the items of a List). */
const visitSeq = (walk: Walk, seq: YAMLSeq, wanted: readonly unknown[], { isFlow }: NodePlace): void => {
  const { source, edits } = walk;
  const more = wanted.length - seq.items.length;
  const isAtEnd = more > 0 && isPlainMap(wanted[0]) && nameOf(wanted[0]) === nameOfNode(seq.items[0]);
  const place = { column: columnOf(source, seq), isItem: true, isFlow: isFlow || seq.flow === true };
  seq.items.forEach((item, index) => {
    visit(walk, item as Node, wanted[index + (isAtEnd ? 0 : more)], place);
  });
  if (more === 0) return;
  edits.push(insertItems(source, seq, isAtEnd ? wanted.slice(-more) : wanted.slice(0, more), isAtEnd));
};

/** The key that distinguishes one item of a list from the others. */
const nameOf = ({ kind, name, metadata }: PlainMap): string =>
  JSON.stringify([kind, name, isPlainMap(metadata) ? metadata["name"] : undefined]);
const nameOfNode = (node: unknown): string | undefined =>
  isMap(node)
    ? nameOf({ kind: node.get("kind"), name: node.get("name"), metadata: { name: node.getIn(["metadata", "name"]) } })
    : undefined;
