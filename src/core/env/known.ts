import { readHost } from "../host.ts";
import type { Span } from "./places/place.ts";
import { charge, type Work } from "./work.ts";

/**
 * The hosts that are looked for in a pod's text. Each is canonical, and is known with the ports that mean a target
 * beside it.
 */
export type KnownHosts = {
  readonly ports: ReadonlyMap<string, ReadonlySet<number>>;
  /** Other names of a host: the pod's own hostAliases. */
  readonly aliases: ReadonlyMap<string, string>;
  /** True for a string that may hold one of the hosts; cheap, because almost none does. */
  readonly mayHold: (text: string, work: Work) => boolean;
  readonly words: (text: string, work: Work) => readonly Word[];
};

/** A host that stands in a text as a whole word, IPv6 brackets and a DNS name's last dot included. */
export type Word = Span & { readonly host: string };

/** The hosts' canonical spelling: DNS names in lower case without the dot at the end, IPv6 per RFC 5952. */
export const canonicalHost = (text: string): string | undefined => {
  if (text.length > 256) return undefined;
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  if (bare.includes(":")) {
    const read = readHost(bare);
    return read.kind === "ipv6" ? read.host : undefined;
  }
  const name = bare === text ? text.toLowerCase() : "";
  return name.endsWith(".") && /[^\d]\.$|[a-z-][^.]*\.$/.test(name) ? name.slice(0, -1) : name;
};

const WORD = /[A-Za-z0-9_-]/;
/** Characters in front that are written as several: percent-encoded, or escaped as JSON does. */
const ESCAPED = /(%[0-9A-Fa-f]{2}|\\[nrt]|\\u[0-9A-Fa-f]{4})$/;

/** Two addresses and what joins them: `10.0.0.5-10.0.0.9`, `10.0.0.5..10.0.0.9`, `10.0.0.5-9`. */
const RANGE_BEFORE = /(^|[^\w.:-])(\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?|[\da-f]*:[\da-f:]+)( - |-|\.\.)$/;
const RANGE_BEHIND = /^(:\d{1,5})?(( - |-|\.\.)(\d{1,3}(\.\d{1,3}){3}|[\da-f]*:[\da-f:]+)|-\d{1,3})(?![\w.-])/;
/** As long as two IPv6 addresses and their ports. */
const RANGE_LENGTH = 96;

const isRangeBefore = (text: string, start: number): boolean =>
  RANGE_BEFORE.test(text.slice(Math.max(0, start - RANGE_LENGTH), start));
const isRangeBehind = (text: string, end: number): boolean => RANGE_BEHIND.test(text.slice(end, end + RANGE_LENGTH));

/** True for an address at an end of a range of addresses. */
export const isInRange = (text: string, { start, end }: Span): boolean =>
  isRangeBefore(text, start) || isRangeBehind(text, end);

const isStart = (text: string, at: number): boolean => {
  const before = text.charAt(at - 1);
  if (before !== "." && !WORD.test(before)) return true;
  if ((before === "-" || before === ".") && isRangeBefore(text, at)) return true;
  return before !== "." && ESCAPED.test(text.slice(Math.max(0, at - 6), at));
};

/**
 * Where a word ends, the dot at a DNS name's end included; undefined: it goes on, as part of a longer one. The dot behind
 * an address ends a sentence, where nothing more of a host follows.
 */
const wordEnd = (text: string, end: number, isName: boolean): number | undefined => {
  const next = text.charAt(end);
  if ((next === "-" || next === ".") && !isName && isRangeBehind(text, end)) return end;
  if (next === "." && !isName) return /^\.[\s"'<)\]}]?$/.test(text.slice(end, end + 2)) ? end : undefined;
  if (next === ".") return /[A-Za-z0-9_.-]/.test(text.charAt(end + 1)) ? undefined : end + 1;
  return WORD.test(next) ? undefined : end;
};

/** True where a stretch of a text is a whole word: what stands around it makes it no other host. */
export const isWord = (text: string, { start, end }: Span): boolean => {
  const isColonBeside = text.slice(start, end).includes(":") && (text[start - 1] === ":" || text[end] === ":");
  return isStart(text, start) && wordEnd(text, end, true) !== undefined && !isColonBeside;
};

const isAddressChar = (code: number): boolean =>
  code === 58 || (code >= 48 && code <= 57) || (code >= 97 && code <= 102);

/** The IPv6 addresses of a text in lower case, in any spelling. */
const ipv6Words = (text: string, ports: KnownHosts["ports"], work: Work): Word[] => {
  const words: Word[] = [];
  let done = 0;
  for (let colon = text.indexOf(":"); colon >= 0; colon = text.indexOf(":", Math.max(done, colon + 1))) {
    let start = colon;
    while (start > done && isAddressChar(text.charCodeAt(start - 1))) start -= 1;
    let end = colon + 1;
    while (isAddressChar(text.charCodeAt(end))) end += 1;
    done = end;
    // `tcp:fd00::5`: a colon of what stands in front.
    if (text[start] === ":" && text[start + 1] !== ":") start += 1;
    const token = text.slice(start, end);
    const isLikely = token.length <= 39 && token.indexOf(":") !== token.lastIndexOf(":") && !token.includes(":::");
    if (!charge(work, isLikely ? 5000 : 100)) break;
    const host = isLikely ? canonicalHost(token) : undefined;
    if (host === undefined || !ports.has(host) || !isStart(text, start)) continue;
    if (/[\w.%-]/.test(text.charAt(end)) && !isRangeBehind(text, end)) continue;
    const isBracketed = text[start - 1] === "[" && text[end] === "]";
    words.push(isBracketed ? { start: start - 1, end: end + 1, host } : { start, end, host });
  }
  return words;
};

/** The cost of reading one word. */
const WORD_WORK = 4000;

const plainWords = (text: string, host: string, isName: boolean, work: Work): Word[] => {
  const words: Word[] = [];
  for (let at = text.indexOf(host); at >= 0; at = text.indexOf(host, at + host.length)) {
    const end = isStart(text, at) ? wordEnd(text, at + host.length, isName) : undefined;
    if (!charge(work, end === undefined ? 200 : WORD_WORK)) break;
    if (end !== undefined) words.push({ start: at, end, host });
  }
  return words;
};

const hasLetter = (host: string): boolean => /[a-z]/.test(host);

export const knownHosts = (
  ports: ReadonlyMap<string, ReadonlySet<number>>,
  aliases: ReadonlyMap<string, string> = new Map(),
): KnownHosts => {
  const spelled = [...ports.keys(), ...aliases.keys()];
  const plain = spelled.filter((host) => !host.includes(":"));
  const hasIPv6 = plain.length < spelled.length;
  // A name of one label is a word of any language: it counts where a client reads a host, and nowhere else.
  const dotted = plain.filter((host) => host.includes(".")).map((host) => ({ host, isName: hasLetter(host) }));
  const isDotted = dotted.length === plain.length;
  const mayHold = (text: string, work: Work): boolean => {
    if (isDotted && !text.includes(".") && !(hasIPv6 && text.includes(":"))) return false;
    if (!charge(work, spelled.length * (20 + text.length / 4))) return false;
    const folded = text.toLowerCase();
    return plain.some((host) => folded.includes(host)) || (hasIPv6 && /::|(:[^:]*){7}/.test(text));
  };
  const words = (text: string, work: Work): readonly Word[] => {
    if (!charge(work, text.length * (1 + dotted.length))) return [];
    const folded = text.toLowerCase();
    const found = dotted.flatMap(({ host, isName }) => plainWords(folded, host, isName, work));
    const all = hasIPv6 ? [...found, ...ipv6Words(folded, ports, work)] : found;
    return all.length > 1 ? all.sort((a, b) => a.start - b.start) : all;
  };
  return { ports, aliases, mayHold, words };
};
