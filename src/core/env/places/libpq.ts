import { isNoServer } from "./keyvalue.ts";
import { byDefault, type Place, type Places, type Slot, type Span, split, trim, written } from "./place.ts";

const skip = (text: string, from: number, pattern: RegExp): number => {
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
const keywords = (text: string): Map<string, Span> | undefined => {
  const found = new Map<string, Span>();
  let at = skip(text, 0, /\s/);
  while (at < text.length) {
    const keyEnd = skip(text, at, /[a-z_]/);
    const equals = skip(text, keyEnd, /\s/);
    if (keyEnd === at || text[equals] !== "=") return undefined;
    const from = skip(text, equals + 1, /\s/);
    const isQuoted = text[from] === "'";
    const start = isQuoted ? from + 1 : from;
    const end = valueEnd(text, start, isQuoted ? /'/ : /\s/);
    found.set(text.slice(at, keyEnd), { start, end });
    at = skip(text, isQuoted ? end + 1 : end, /\s/);
  }
  return found;
};

/** A list of hosts with a list of ports: as many ports as hosts, or one for all. */
export const hostsOfList = (text: string, hosts: Span, ports: Span | undefined): Place[] => {
  const parts = split(text, hosts, ",").map((part) => trim(text, part));
  const slots =
    ports === undefined ? [byDefault(5432)] : split(text, ports, ",").map((part) => written(trim(text, part)));
  if (slots.length > 1 && slots.length !== parts.length) return [];
  return parts.map((host, at) => ({ host, slot: (slots[at] ?? slots[0]) as Slot }));
};

/**
 * `host=… port=…`; undefined: the string is not of this family. `hostaddr` takes no name, so it cannot be redirected.
 */
export const libpqPlaces = (text: string): Places | undefined => {
  const pairs = keywords(text);
  if (pairs === undefined) return undefined;
  const numeric = pairs.get("hostaddr");
  const named = numeric ?? pairs.get("host");
  if (named !== undefined && text.slice(named.start, named.end).includes(";")) return undefined;
  const port = pairs.get("port");
  const guards = [...pairs]
    .filter(([key]) => isNoServer(key))
    .map(([, span]) => ({ ...span, kind: "secret" as const }));
  if (named === undefined) return guards.length === 0 ? undefined : { places: [], guards };
  const places = hostsOfList(text, named, port);
  return { places: numeric === undefined ? places : places.map((place) => ({ ...place, limit: "numeric" })), guards };
};
