import { BACKSLASH } from "./scan.ts";

/**
 * The parts of a JSON text that are read. A map names the keys that are read, each with the shape of its value. A list
 * has the shape of each of its items. `true`: the whole value is read.
 */
export type Shape = true | { readonly [key: string]: Shape };

/**
 * A shape with its keys as bytes. Without `fields` the whole value is read. `isPart`: the value is the part that is
 * returned apart.
 */
export type ShapeNode = { readonly fields?: readonly ShapeField[]; readonly isPart: boolean };
export type ShapeField = { readonly key: Buffer; readonly node: ShapeNode };
const WHOLE: ShapeNode = { isPart: false };

/** A stretch of a text, in bytes. */
export type ByteSpan = { readonly start: number; readonly end: number };

/** The shape with its keys as bytes. `part`: the value of `shape` that is returned apart. */
export const nodeOf = (shape: Shape, part: Shape | undefined): ShapeNode => {
  if (shape === true) return WHOLE;
  const fields = Object.entries(shape).map(([key, value]) => ({ key: Buffer.from(key), node: nodeOf(value, part) }));
  return { fields, isPart: shape === part };
};

/**
 * The shape of the value of the key at `start`; undefined: the value is not read. A key written with escapes is read
 * whole, because it may be any key.
 */
export const nodeOfKey = (
  text: Buffer,
  { start, end }: ByteSpan,
  fields: readonly ShapeField[],
): ShapeNode | undefined => {
  for (const { key, node } of fields) if (key.length === end - start && isKey(text, start, key)) return node;
  return isEscaped(text, start, end) ? WHOLE : undefined;
};

const isEscaped = (text: Buffer, start: number, end: number): boolean => {
  for (let at = start; at < end; at += 1) if (text[at] === BACKSLASH) return true;
  return false;
};

const isKey = (text: Buffer, from: number, key: Buffer): boolean => {
  for (let at = 0; at < key.length; at += 1) if (text[from + at] !== key[at]) return false;
  return true;
};
