import { byDefault, type Place, type Slot, type Span, split, trim, written } from "./place.ts";

const skipBlanks = (text: string, from: number, pattern: RegExp): number => {
  let at = from;
  while (at < text.length && pattern.test(text.charAt(at))) at += 1;
  return at;
};

/** The end of a value: a backslash takes the next character with it. */
const valueEnd = (text: string, from: number, stop: RegExp): number => {
  let at = from;
  while (at < text.length && !stop.test(text.charAt(at))) at += text[at] === "\\" ? 2 : 1;
  return Math.min(at, text.length);
};

/** libpq's `key = value` strings (PostgreSQL documentation, "Keyword/Value Connection Strings"); undefined: not one. */
const keywords = (text: string): Map<string, { value: Span; end: number }> | undefined => {
  const found = new Map<string, { value: Span; end: number }>();
  let at = skipBlanks(text, 0, /\s/);
  while (at < text.length) {
    const keyEnd = skipBlanks(text, at, /[a-z_]/);
    const equals = skipBlanks(text, keyEnd, /\s/);
    if (keyEnd === at || text[equals] !== "=") return undefined;
    const from = skipBlanks(text, equals + 1, /\s/);
    const quoted = text[from] === "'";
    const value = {
      start: quoted ? from + 1 : from,
      end: valueEnd(text, quoted ? from + 1 : from, quoted ? /'/ : /\s/),
    };
    const end = quoted ? Math.min(value.end + 1, text.length) : value.end;
    found.set(text.slice(at, keyEnd), { value, end });
    at = skipBlanks(text, end, /\s/);
  }
  return found;
};

/** A list of hosts with a list of ports: as many ports as hosts, or one for all. */
export const hostsOfList = (text: string, hosts: Span, ports: Span | undefined, end: number, lead: string): Place[] => {
  const parts = split(text, hosts, ",").map((part) => trim(text, part));
  const cells = ports === undefined ? [] : split(text, ports, ",").map((part) => written(trim(text, part), true));
  if (cells.length > 1 && cells.length !== parts.length) return [];
  const shared = cells[0] ?? byDefault(5432, end, lead, true);
  return parts.map((host, at) => ({ host, slot: cells.length > 1 ? (cells[at] as Slot) : shared }));
};

/** `host=… port=…`; undefined: the string is not of this family. `hostaddr` takes no name, so it cannot be redirected. */
export const libpqPlaces = (text: string): Place[] | undefined => {
  const pairs = keywords(text);
  const host = pairs?.get("host");
  const numeric = pairs?.get("hostaddr");
  const named = numeric ?? host;
  if (named === undefined || text.slice(named.value.start, named.value.end).includes(";")) return undefined;
  const places = hostsOfList(text, named.value, pairs?.get("port")?.value, named.end, " port=");
  return numeric === undefined ? places : places.map((place) => ({ ...place, limit: "numeric" }));
};
