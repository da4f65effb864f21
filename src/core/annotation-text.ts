/** From the text of `flowgen.io/private-targets` to its entries, in the short or the long form. */
import { parseDocument } from "yaml";
import { quote } from "./schema.ts";

const SHORT_ENTRY = /^(?:([^=:[\]]*)=)?(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/;

/** `name=host:port` or `host:port`, IPv6 hosts in brackets; the fields that the long form would have. */
const readShortEntry = (text: string): unknown => {
  const match = SHORT_ENTRY.exec(text);
  if (match === null) return undefined;
  const [, name, bracketed, plain, targetPort] = match;
  return {
    ...(name !== undefined && { name: name.trim() }),
    targetHost: bracketed ?? plain?.trim(),
    targetPort: targetPort?.trim(),
  };
};

/** The entries of an annotation, each as the long form has it and not checked yet; or why the text is no list. */
export type EntriesReading =
  { readonly kind: "read"; readonly raw: unknown } | { readonly kind: "unreadable"; readonly why: string };

/** What somebody wrote instead of `name=host:port`, and how it is written. The first that fits. */
const SHORT_MISTAKES: readonly (readonly [pattern: RegExp, says: string])[] = [
  [/:\/\//, "is a URL: write name=host:port"],
  [/;/, "is not name=host:port: separate targets by commas"],
  [/^[\w-]+:\s*[^\s:]+:\d+$/, "is not name=host:port: write = after the name"],
  [/\S\s+\S+[=:]/, "is not name=host:port: separate targets by commas"],
  [/^(?:[^=]*=)?[^\s:=[\]]+$/, "has no port: write name=host:port"],
  [/^(?:[^=]*=)?\[[^\]]*\]$/, "has no port: write name=[host]:port"],
];

const readShortList = (text: string): EntriesReading => {
  const raw: unknown[] = [];
  if (isListWithoutDashes(text)) return { kind: "unreadable", why: ": begin each entry of a list with `- `" };
  for (const item of text.split(/[,\n]/).map((part) => part.trim())) {
    if (item === "") continue;
    const fields = readShortEntry(item);
    const [, mistake] = SHORT_MISTAKES.find(([pattern]) => pattern.test(item)) ?? [];
    const isUrl = item.includes("://");
    if (fields === undefined || isUrl) {
      const says = mistake ?? "is not name=host:port (an IPv6 host stands in brackets)";
      return { kind: "unreadable", why: `[${raw.length}]: ${quote(item)} ${says}` };
    }
    raw.push(fields);
  }
  return { kind: "read", raw };
};

/** Keys of the long form at the beginning of a line, which no name of a target or host is. */
const isListWithoutDashes = (text: string): boolean =>
  /(^|[\n,{])\s*(targetHost|targetPort|hostEnv|portEnv|aliases|redirect)\s*:/.test(text);

/** An entry of a list that is written in the short form: a text, or a map of one name to `host:port`. */
const isShortInList = (entry: unknown): boolean =>
  typeof entry === "string" ||
  (typeof entry === "object" &&
    entry !== null &&
    Object.keys(entry).length === 1 &&
    Object.values(entry).every((value) => typeof value === "string" && /:\d+$/.test(value)));

/** YAML 1.2, of which JSON is a part. Aliases are refused: an annotation needs none and a bomb is made of them. */
const readYaml = (text: string): EntriesReading => {
  try {
    const document = parseDocument(text, { prettyErrors: false, logLevel: "error" });
    const problem = document.errors[0];
    if (problem?.code === "MULTIPLE_DOCS") return { kind: "unreadable", why: ": more than one YAML document" };
    if (problem !== undefined) return { kind: "unreadable", why: `: not YAML or JSON: ${firstLine(problem.message)}` };
    const raw = document.toJS({ maxAliasCount: 0 }) as unknown;
    const short = Array.isArray(raw) ? raw.findIndex(isShortInList) : -1;
    return short < 0
      ? { kind: "read", raw }
      : {
          kind: "unreadable",
          why: `[${short}]: write name=host:port without \`- \`, or a map with targetHost and targetPort`,
        };
  } catch (error) {
    // The parser throws on aliases (ReferenceError) and on nesting deeper than the stack (RangeError).
    return { kind: "unreadable", why: `: not a plain list: ${firstLine(String(error))}` };
  }
};

const firstLine = (text: string): string =>
  text
    .replace(/\n.*/s, "")
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 120);

const isShortList = (text: string): boolean =>
  !/^(-\s|---|[{#%])/.test(text) && (!text.startsWith("[") || SHORT_ENTRY.test(firstItem(text)));
const firstItem = (text: string): string => text.replace(/[,\n].*/s, "").trim();

/** Reads a trimmed text: a short list, else YAML or JSON. */
export const readEntries = (text: string): EntriesReading => (isShortList(text) ? readShortList(text) : readYaml(text));
