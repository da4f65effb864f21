/** YAML of an annotation. Any user may write it, so the time of reading it is bounded by its length. */
import { isMap, isScalar, isSeq, parseDocument } from "yaml";
import { messageOf } from "./message.ts";

export type RawReading =
  { readonly kind: "read"; readonly raw: unknown } | { readonly kind: "unreadable"; readonly why: string };

/** A list of entries, each with lists of names. */
const MOST_LEVELS = 4;

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

/** YAML 1.2, of which JSON is a part. Whether keys differ is checked here: the library compares each with each. */
export const readPlainYaml = (text: string): RawReading => {
  try {
    const document = parseDocument(text, { prettyErrors: false, logLevel: "error", uniqueKeys: false });
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
