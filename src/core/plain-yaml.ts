/** YAML of an annotation. Any user may write it, so the time of reading it is bounded by its length. */
import { isMap, isScalar, isSeq, parseDocument } from "yaml";
import { messageOf } from "./message.ts";

export type RawReading =
  { readonly kind: "read"; readonly raw: unknown } | { readonly kind: "unreadable"; readonly why: string };

/** A list of entries, each with lists of names. */
const MOST_LEVELS = 4;

/** Lists, maps, lines and entries. 128 entries with all of their keys have half as many. */
const MOST_PARTS = 4096;
const PART = /[[{,\n]|[-?:](?=\s)/g;
const countOf = (text: string): number => [...text.matchAll(PART)].length;

/**
 * The lists, maps and scalars of a YAML document. The library's own `toJS` writes a map that is a key as text, again at
 * each level: 1 kB of `{` takes seconds. Throws on all that an annotation needs none of: other keys than scalars,
 * repeated keys, more levels, aliases (a bomb is made of them).
 */
const plainData = (node: unknown, levels: number): unknown => {
  if (node === null) return null;
  if (isScalar(node)) return node.value;
  if (levels === 0) throw new Error(`more than ${MOST_LEVELS} levels of lists and maps`);
  if (isSeq(node)) return node.items.map((item) => plainData(item, levels - 1));
  if (!isMap(node)) throw new Error("an alias");
  const entries = new Map(
    node.items.map(({ key, value }) => {
      if (!isScalar(key)) throw new Error("a key that is no text");
      return [String(key.value), plainData(value, levels - 1)];
    }),
  );
  if (entries.size < node.items.length) throw new Error("a key stands twice in one map");
  return Object.fromEntries(entries);
};

/**
 * The library makes an error for each fault of a text, of which there may be thousands. The stack traces would be four
 * fifths of the time, and they are read nowhere.
 */
const withoutTraces = <T>(work: () => T): T => {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
};

/** YAML 1.2, of which JSON is a part. Whether keys differ is checked here: the library compares each with each. */
export const readPlainYaml = (text: string): RawReading => {
  if (countOf(text) > MOST_PARTS)
    return { kind: "unreadable", why: `: more than ${MOST_PARTS} lists, maps and entries` };
  try {
    const options = { prettyErrors: false, logLevel: "error", uniqueKeys: false } as const;
    const document = withoutTraces(() => parseDocument(text, options));
    const problem = document.errors[0];
    if (problem?.code === "MULTIPLE_DOCS") return { kind: "unreadable", why: ": more than one YAML document" };
    if (problem !== undefined) return { kind: "unreadable", why: `: not YAML or JSON: ${firstLine(problem.message)}` };
    return { kind: "read", raw: plainData(document.contents, MOST_LEVELS) };
  } catch (error) {
    return { kind: "unreadable", why: `: not a plain list: ${firstLine(messageOf(error))}` };
  }
};

const firstLine = (text: string): string =>
  text
    .replace(/\n.*/s, "")
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 120);
