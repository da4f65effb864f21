/** From the text of `flowgen.io/private-targets` to its entries, in the short or the long form. */
import { type RawReading, readPlainYaml } from "./plain-yaml.ts";
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

/** Common mistakes in place of `name=host:port`, each with its correct form. The first match counts. */
const SHORT_MISTAKES: readonly (readonly [pattern: RegExp, says: string])[] = [
  [/:\/\//, "is a URL: write name=host:port"],
  [/;/, "is not name=host:port: separate targets by commas"],
  [/^[\w-]+:\s*[^\s:]+:\d+$/, "is not name=host:port: write = after the name"],
  [/\S\s+\S+[=:]/, "is not name=host:port: separate targets by commas"],
  [/^(?:[^=]*=)?[^\s:=[\]]+$/, "has no port: write name=host:port"],
  [/^(?:[^=]*=)?\[[^\]]*\]$/, "has no port: write name=[host]:port"],
];

const readShortList = (text: string): RawReading => {
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

/** A list of which an entry lost its dash, or its keys their indent: a key of the long form where a line begins. */
const lacksSomeDashes = (text: string): boolean =>
  /^-\s/m.test(text) && /^(name|tunnel|target\w+|\w+Env)\s*:/m.test(text);

/** An entry of a list that is written in the short form: a text, or a map of one name to `host:port`. */
const isShortInList = (entry: unknown): boolean =>
  typeof entry === "string" ||
  (typeof entry === "object" &&
    entry !== null &&
    Object.keys(entry).length === 1 &&
    Object.values(entry).every((value) => typeof value === "string" && /:\d+$/.test(value)));

/** A YAML or JSON list of maps; an entry in the short form is refused, with the form to write. */
const readLongList = (text: string): RawReading => {
  const reading = readPlainYaml(text);
  if (reading.kind === "unreadable" && lacksSomeDashes(text))
    return { kind: "unreadable", why: ": begin each entry of a list with `- `, and indent its keys alike" };
  if (reading.kind === "unreadable" || !Array.isArray(reading.raw)) return reading;
  const short = reading.raw.findIndex(isShortInList);
  return short < 0
    ? reading
    : {
        kind: "unreadable",
        why: `[${short}]: write name=host:port without \`- \`, or a map with targetHost and targetPort`,
      };
};

const isShortList = (text: string): boolean =>
  !/^(-\s|---|[{#%])/.test(text) && (!text.startsWith("[") || SHORT_ENTRY.test(firstItem(text)));
const firstItem = (text: string): string => text.replace(/[,\n].*/s, "").trim();

/**
 * Reads a trimmed text: a short list, else YAML or JSON. The entries are as the long form has them, and not checked
 * yet.
 */
export const readEntries = (text: string): RawReading => (isShortList(text) ? readShortList(text) : readLongList(text));
