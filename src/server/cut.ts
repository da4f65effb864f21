/**
 * Cuts a JSON text down to the parts that are read, before a value is made of it. Half of a review of a pod is
 * `managedFields`, and most of the rest is not read either. Equal pods have equal cut texts.
 */
import {
  CLOSE_LIST,
  CLOSE_MAP,
  COLON,
  COMMA,
  endOfString,
  MOST_LEVELS,
  MOST_VALUES,
  OPEN_LIST,
  OPEN_MAP,
  QUOTE,
  type Scan,
  skipSpace,
  skipValue,
} from "./scan.ts";
import { nodeOf, nodeOfKey, type Shape, type ShapeField, type ShapeNode, type ByteSpan } from "./shape.ts";

export type Cut = {
  /** The text without what is not read; in the place of the part that was asked for stands `null`. */
  readonly rest: string;
  /** That part; undefined: the text has none. */
  readonly part: string | undefined;
};

/** Of those that are read: a pod of 10,000 env has fewer. To make objects of the costliest takes 10 ms. */
const MOST_READ = 32_768;

/**
 * Makes the function that cuts texts to a shape. `part`: the value of the shape that is returned apart.
 *
 * The function changes the text's bytes. It returns the reason when a text has too many values or levels. A parser
 * makes an object of each `[` and of each `{},`: dozens of bytes for one or three. So all are counted before there is
 * any. The function does not check the parts that it removes. The cut text of a text that is not JSON is not JSON
 * either, unless the whole fault was removed.
 */
export const cutterOf = (shape: Shape, part?: Shape): ((text: Buffer) => Cut | string) => {
  const root = nodeOf(shape, part);
  return (text) => {
    const cutting: Cutting = { text, at: 0, levels: 0, values: 0, unread: 0, from: 0, to: 0, part: undefined };
    skipSpace(cutting);
    cutValue(cutting, root);
    if (cutting.levels > MOST_LEVELS) return `more than ${MOST_LEVELS} levels of lists and maps`;
    if (cutting.values > MOST_VALUES) return `more than ${MOST_VALUES} values`;
    const isTooMuch = cutting.values - cutting.unread > MOST_READ;
    return isTooMuch ? `more than ${MOST_READ} values that are read` : resultOf(cutting);
  };
};

/** A text while it is cut. */
type Cutting = Scan & {
  /** Values among them that are cut out. */
  unread: number;
  /** Where the text goes on behind the last cut, and where that will stand. */
  from: number;
  to: number;
  part: ByteSpan | undefined;
};

const resultOf = ({ text, from, to, part }: Cutting): Cut => {
  text.copyWithin(to, from);
  const end = to + text.length - from;
  if (part === undefined) return { rest: text.toString("utf8", 0, end), part };
  const rest = `${text.toString("utf8", 0, part.start)}null${text.toString("utf8", part.end, end)}`;
  return { rest, part: text.toString("utf8", part.start, part.end) };
};

/** Leaves out a stretch; cuts come in the text's order. */
const cut = (cutting: Cutting, start: number, end: number): void => {
  if (start === end) return;
  const { text, from, to } = cutting;
  if (to < from) text.copyWithin(to, from, start);
  cutting.to += start - from;
  cutting.from = end;
};

/** Where the byte that is looked at will stand. */
const placeOf = ({ at, from, to }: Cutting): number => to + at - from;

const cutValue = (cutting: Cutting, node: ShapeNode): void => {
  const start = placeOf(cutting);
  if (node.fields === undefined) skipValue(cutting);
  else if (cutting.text[cutting.at] === OPEN_LIST) cutList(cutting, node.fields);
  else cutOneMap(cutting, node.fields);
  if (node.isPart) cutting.part = { start, end: placeOf(cutting) };
};

/** A value that is no map where one is read is left as it is. */
const cutOneMap = (cutting: Cutting, fields: readonly ShapeField[]): void => {
  if (cutting.text[cutting.at] === OPEN_MAP) cutMap(cutting, fields);
  else skipValue(cutting);
};

/**
 * Cuts the entries of a map that are not read. A text that is no map is left as it is, from where it ceases to be one.
 */
const cutMap = (cutting: Cutting, fields: readonly ShapeField[]): void => {
  const { text } = cutting;
  cutting.levels += 1;
  /** Behind the last entry that stays, and whether there is one. */
  let kept = cutting.at + 1;
  let isFirst = true;
  do {
    const comma = cutting.at;
    cutting.at += 1;
    cutting.values += 1;
    skipSpace(cutting);
    const start = cutting.at;
    if (text[start] !== QUOTE) break;
    const end = endOfString(text, start);
    cutting.at = end + 1;
    skipSpace(cutting);
    if (text[cutting.at] !== COLON) return;
    cutting.at += 1;
    skipSpace(cutting);
    const node = nodeOfKey(text, { start: start + 1, end }, fields);
    if (node === undefined) {
      const before = cutting.values;
      skipValue(cutting);
      cutting.unread += cutting.values - before;
    } else {
      cut(cutting, kept, isFirst ? start : comma);
      cutValue(cutting, node);
      skipSpace(cutting);
      kept = cutting.at;
      isFirst = false;
    }
  } while (text[cutting.at] === COMMA && cutting.values <= MOST_VALUES);
  if (text[cutting.at] !== CLOSE_MAP) return;
  cut(cutting, kept, cutting.at);
  cutting.at += 1;
  cutting.levels -= 1;
};

const cutList = (cutting: Cutting, fields: readonly ShapeField[]): void => {
  const { text } = cutting;
  cutting.levels += 1;
  do {
    cutting.at += 1;
    cutting.values += 1;
    skipSpace(cutting);
    if (text[cutting.at] === CLOSE_LIST) break;
    cutOneMap(cutting, fields);
    skipSpace(cutting);
  } while (text[cutting.at] === COMMA && cutting.values <= MOST_VALUES);
  if (text[cutting.at] !== CLOSE_LIST) return;
  cutting.at += 1;
  cutting.levels -= 1;
};
