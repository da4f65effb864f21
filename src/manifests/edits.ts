/** Single changes of a document's text, each made to look like its surroundings. */
import { isMap, isScalar, isSeq, type Node, type Pair, Scalar, type YAMLMap, type YAMLSeq } from "yaml";
import type { Edit } from "../core/edit.ts";
import { block, inline, quotedAs, type Style } from "./write.ts";

export type SourceText = {
  readonly text: string;
  readonly style: Style;
  /** Whether lists stand deeper than their key. */
  readonly isSeqIndented: boolean;
};

/** Where a value stands: the column of its key or dash. */
export type NodePlace = { readonly column: number; readonly isItem: boolean; readonly isFlow: boolean };

const startOf = (node: unknown): number => (node as Node).range?.[0] ?? 0;
const lineStart = (text: string, at: number): number => text.lastIndexOf("\n", at - 1) + 1;
const lineEnd = (text: string, at: number): number => {
  const next = text.indexOf("\n", at);
  if (next < 0) return text.length;
  return text[next - 1] === "\r" && next > at ? next - 1 : next;
};

export const columnOf = ({ text }: SourceText, node: unknown): number => startOf(node) - lineStart(text, startOf(node));
/** The white space before a node on its line; undefined where other text stands there. */
const indentOf = ({ text }: SourceText, node: unknown): string | undefined => {
  const before = text.slice(lineStart(text, startOf(node)), startOf(node));
  return /^[ \t]*$/.test(before) ? before : undefined;
};
const isBlock = (node: unknown): boolean => (isMap(node) || isSeq(node)) && node.flow !== true;

/** The end of what a node says, without the comments and blank lines after it. */
const endOf = (node: unknown): number => {
  if (!isBlock(node)) return (node as Node).range?.[1] ?? 0;
  return isMap(node) ? endOfPair(node.items.at(-1) as Pair) : endOf((node as YAMLSeq).items.at(-1));
};
const endOfPair = ({ key, value }: Pair): number => endOf(value ?? key);

/** Gives the place of `node` another value. */
export const newValue = (source: SourceText, node: Node, wanted: unknown, place: NodePlace): Edit => {
  const start = startOf(node);
  const end = endOf(node);
  if (start === end && isBelow(source, node, wanted, place)) return belowComment(source, end, wanted, place);
  const value = spaced(source, start, end, valueText(source, node, wanted, place));
  // A value that begins on the next line leaves no blank behind on this one.
  const blanks = /^[\r\n]/.test(value) ? (/[ \t]*$/.exec(source.text.slice(0, start))?.[0].length ?? 0) : 0;
  return { start: start - blanks, end, text: value };
};

/** Whether a map or list takes the place of a value that was left out, with a comment behind it on the line. */
const isBelow = ({ text, style }: SourceText, node: Node, wanted: unknown, place: NodePlace): boolean =>
  text[endOf(node)] === "#" && isFilled(wanted) && !place.isFlow && !place.isItem && style.json === undefined;

/** The comment stays on its line; the value follows it. */
const belowComment = (
  { text, style, isSeqIndented }: SourceText,
  at: number,
  wanted: unknown,
  place: NodePlace,
): Edit => {
  const column = place.column + 2;
  const line = lineEnd(text, at);
  return {
    start: line,
    end: line,
    text: style.eol + " ".repeat(column) + block(wanted, column, style, isSeqIndented),
  };
};

/** A value that was left out needs a space before it and before a comment; a block scalar ends its own line. */
const spaced = ({ text }: SourceText, start: number, end: number, value: string): string => {
  const before = start === end && !/[\s[{]$/.test(text.slice(0, start)) && !/^[\r\n]/.test(value) ? " " : "";
  const after = text[end] === "#" && start === end ? " " : (/(\r?\n)$/.exec(text.slice(start, end))?.[1] ?? "");
  return before + (value.endsWith("\n") ? value : value + after);
};

const valueText = (source: SourceText, node: Node, wanted: unknown, place: NodePlace): string => {
  const { style, text } = source;
  if (typeof wanted === "string")
    return literalText(source, node, wanted) ?? quotedAs(isScalar(node) ? node.type : undefined, wanted, style);
  const start = startOf(node);
  if (isBlock(node)) return block(wanted, columnOf(source, node), style, source.isSeqIndented);
  const isLastOnLine = text.slice(endOf(node), lineEnd(text, endOf(node))).trim() === "";
  if (place.isFlow || !isFilled(wanted) || !isLastOnLine || style.json !== undefined)
    return inline(wanted, style, indentOfLine(text, start));
  const column = place.column + 2;
  if (!place.isItem) return style.eol + " ".repeat(column) + block(wanted, column, style, source.isSeqIndented);
  const isBare = /^\s*-\s+$/.test(text.slice(lineStart(text, start), start));
  return isBare ? block(wanted, start - lineStart(text, start), style, source.isSeqIndented) : inline(wanted, style);
};

const isFilled = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length > 0;

const indentOfLine = (text: string, at: number): string =>
  /^[ \t]*/.exec(text.slice(lineStart(text, at), at))?.[0] ?? "";

/** A literal block keeps its form when lines of it change, and none comes or goes. */
const literalText = ({ text }: SourceText, node: Node, wanted: string): string | undefined => {
  if (!isScalar(node) || node.type !== Scalar.BLOCK_LITERAL) return undefined;
  const [head = "", ...lines] = text.slice(startOf(node), endOf(node)).split("\n");
  const before = String(node.value).split("\n");
  const after = wanted.split("\n");
  if (before.length !== after.length) return undefined;
  const changed = lines.map((line, index) => line.replace(before[index] ?? "", () => after[index] ?? ""));
  return [head, ...changed].join("\n");
};

const pairText = (
  { style, isSeqIndented }: SourceText,
  map: YAMLMap,
  key: string,
  value: unknown,
  column: number,
  indent = "",
): string => {
  if (isBlock(map)) return block({ [key]: value }, column, style, isSeqIndented);
  if (style.json !== undefined) return `${JSON.stringify(key)}: ${inline(value, style, indent)}`;
  return inline({ [key]: value }, style).slice(2, -2);
};

/** Puts a pair behind the last one. */
export const insertPair = (source: SourceText, map: YAMLMap, key: string, value: unknown): Edit => {
  const last = map.items.at(-1) as Pair;
  const indent = indentOf(source, last.key);
  const text = pairText(source, map, key, value, columnOf(source, map.items[0]?.key), indent);
  if (isBlock(map)) return insertLine(source, endOfPair(last), columnOf(source, map.items[0]?.key), text);
  const at = endOfPair(last);
  return { start: at, end: at, text: `,${indent === undefined ? " " : source.style.eol + indent}${text}` };
};

const insertLine = ({ text, style }: SourceText, after: number, column: number, line: string): Edit => {
  const indented = " ".repeat(column) + line;
  if (text[after - 1] === "\n") return { start: after, end: after, text: indented + style.eol };
  const at = lineEnd(text, after);
  return { start: at, end: at, text: style.eol + indented };
};

/** Puts a pair where another was. */
export const replacePair = (source: SourceText, map: YAMLMap, pair: Pair, key: string, value: unknown): Edit => {
  const start = startOf(pair.key);
  const end = endOfPair(pair);
  const text = pairText(source, map, key, value, columnOf(source, pair.key), indentOf(source, pair.key));
  return { start, end, text: spaced(source, start, end, text) };
};

/**
 * Takes pairs out, of which at least one other stays: the first ones up to the next key, others with their own line.
 */
export const deletePairs = (source: SourceText, map: YAMLMap, gone: readonly Pair[]): readonly Edit[] => {
  const { text } = source;
  const kept = map.items.find((pair) => !gone.includes(pair));
  const leading = map.items.slice(0, map.items.indexOf(kept as Pair));
  const [first] = leading;
  const head = first ? [{ start: startOf(first.key), end: startOf(kept?.key), text: "" }] : [];
  const others = gone.filter((pair) => !leading.includes(pair));
  return [
    ...head,
    ...others.map((pair) => {
      const end = endOfPair(pair);
      if (!isBlock(map)) return { start: endOfPair(map.items[map.items.indexOf(pair) - 1] as Pair), end, text: "" };
      const next = text[end - 1] === "\n" ? end : text.indexOf("\n", end) + 1;
      return { start: lineStart(text, startOf(pair.key)), end: next === 0 ? text.length : next, text: "" };
    }),
  ];
};

/** Puts items before the first or behind the last one of a list that has some. */
export const insertItems = (source: SourceText, seq: YAMLSeq, values: readonly unknown[], isAtEnd: boolean): Edit => {
  const { style, text } = source;
  const [first] = seq.items;
  if (isBlock(seq)) {
    const column = columnOf(source, seq);
    const items = values.map(
      (value) => `- ${isBlock(first) ? block(value, column + 2, style, source.isSeqIndented) : inline(value, style)}`,
    );
    const lines = items.join(style.eol + " ".repeat(column));
    if (isAtEnd) return insertLine(source, endOf(seq), column, lines);
    const at = indentOf(source, seq) === undefined ? startOf(seq) : aboveComments(text, lineStart(text, startOf(seq)));
    const isWithin = at === startOf(seq);
    const indent = " ".repeat(column);
    return { start: at, end: at, text: isWithin ? lines + style.eol + indent : indent + lines + style.eol };
  }
  const indent = indentOf(source, first);
  const gap = indent === undefined ? " " : style.eol + indent;
  const items = values.map((value) => inline(value, style, indent));
  const at = isAtEnd ? endOf(seq.items.at(-1)) : startOf(first);
  return {
    start: at,
    end: at,
    text: isAtEnd ? items.map((item) => `,${gap}${item}`).join("") : items.map((item) => `${item},${gap}`).join(""),
  };
};

/** Comments and blank lines above a list's first item stay with that item. */
const aboveComments = (text: string, at: number): number => {
  const above = lineStart(text, at - 1);
  return at > 0 && /^[ \t]*(#.*)?\r?$/.test(text.slice(above, at - 1)) ? aboveComments(text, above) : at;
};
