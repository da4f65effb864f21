import {
  byDefault,
  instance,
  isPortLike,
  type Place,
  type Places,
  readAddress,
  type Slot,
  type Span,
  split,
  trim,
  upTo,
  written,
} from "./place.ts";

/** `key=value`: the key in lower case, the value without its quotes. */
export type KeyValue = { readonly key: string; readonly value: Span };

const CLOSING = new Map([
  ['"', '"'],
  ["'", "'"],
  ["{", "}"],
]);

/** The end of a quoted value: a doubled closing quote stands for itself. */
const closingQuote = (text: string, from: number, quote: string): number => {
  let at = text.indexOf(quote, from);
  while (at >= 0 && text[at + 1] === quote) at = text.indexOf(quote, at + 2);
  return at < 0 ? text.length : at;
};

const semicolon = (text: string, from: number): number => {
  const at = text.indexOf(";", from);
  return at < 0 ? text.length : at;
};

/**
 * `key=value;…` as ADO.NET (DbConnectionStringBuilder: quotes `"` or `'`, doubled inside), ODBC and the SQL Server JDBC
 * driver (braces) read it.
 */
export const semicolonKeyValues = (text: string, from: number): KeyValue[] => {
  const pairs: KeyValue[] = [];
  let at = from;
  while (at < text.length) {
    const stop = semicolon(text, at);
    const equals = text.slice(at, stop).indexOf("=");
    if (equals < 0) {
      at = stop + 1;
      continue;
    }
    const key = text
      .slice(at, at + equals)
      .trim()
      .toLowerCase();
    const raw = trim(text, { start: at + equals + 1, end: stop });
    const quote = CLOSING.get(text.charAt(raw.start));
    const inner = quote === undefined ? raw : { start: raw.start + 1, end: closingQuote(text, raw.start + 1, quote) };
    const end = quote === undefined ? stop : semicolon(text, inner.end);
    pairs.push({ key, value: inner });
    at = end + 1;
  }
  return pairs;
};

const SERVER_KEYS = new Set([
  "server",
  "data source",
  "datasource",
  "addr",
  "address",
  "network address",
  "servername",
  "failover partner",
  "failoverpartner",
  "failover_partner",
]);
const HOST_KEYS = new Set(["host", "hostname"]);
const PORT_KEYS = new Set(["port", "portnumber"]);

/** The written port of a port key, as a slot that every host of the string without a port of its own shares. */
export const portSlot = (
  text: string,
  pairs: readonly KeyValue[],
  keys: ReadonlySet<string> = PORT_KEYS,
): Slot | undefined => {
  const pair = pairs.find(({ key, value }) => keys.has(key) && isPortLike(text.slice(value.start, value.end)));
  return pair === undefined ? undefined : written(pair.value);
};

/**
 * One `host`, `host\\instance` or `host:port/service`. A client finds an instance by asking the host's UDP port 1434,
 * which no gateway forwards. Every Microsoft driver ignores the instance where a port is written.
 */
const member = (text: string, part: Span, without: (host: Span) => Slot): Place[] => {
  const base = upTo(text, part, /[\\/]/);
  const found = readAddress(text, base);
  if (found === undefined) return [];
  if (found.port !== undefined) return [{ host: found.host, slot: written(found.port) }];
  const slot = without(found.host);
  if (base.end === part.end || slot.kind === "written") return [{ host: found.host, slot }];
  return [{ host: found.host, slot: text[base.end] === "/" ? byDefault(1521) : instance }];
};

const PREFIX = /^(tcp:|admin:|\/\/)/i;

/**
 * The value of SQL Server's `Server` key: `[tcp:]host[\instance][,port]`; also Oracle's and the host lists of others.
 */
export const serverPlaces = (text: string, value: Span, without: (host: Span, single: boolean) => Slot): Place[] => {
  const trimmed = trim(text, value);
  const body = text.slice(trimmed.start, trimmed.end);
  if (body.startsWith("(")) return descriptorPlaces(text, trimmed);
  const prefix = body.length - body.replace(PREFIX, "").length;
  const parts = split(text, { start: trimmed.start + prefix, end: trimmed.end }, ",");
  const [first, second] = parts;
  if (first !== undefined && second !== undefined && parts.length === 2) {
    const port = trim(text, upTo(text, second, /\\/));
    if (isPortLike(text.slice(port.start, port.end))) return member(text, first, () => written(port));
  }
  return parts.flatMap((part) => member(text, part, (host) => without(host, parts.length === 1)));
};

/**
 * Keys that no driver reads a server from: what is unknown may be one (`AlternateServers`), and is looked at word by
 * word.
 */
export const isNoServer = (key: string): boolean =>
  /^(user(name| id)?|uid|password|pwd|database(name)?|dbname|initial catalog|app(lication)?([ _]?name)?|driver)$/.test(
    key,
  );

/** go-mssqldb's port of the failover partner; other drivers write it behind the host. */
const PARTNER_PORT = new Set(["failoverport"]);

/**
 * ADO.NET and ODBC. `Server` without a port has SQL Server's 1433, MySQL's 3306 or PostgreSQL's 5432. The .NET drivers
 * of MySQL and PostgreSQL take the same key, with the port in a key of its own. `Host` is a key of these two only.
 */
export const adoPlaces = (text: string): Places => {
  const pairs = semicolonKeyValues(text, 0);
  const port = portSlot(text, pairs);
  const partnerPort = portSlot(text, pairs, PARTNER_PORT);
  const isHost = ({ key }: KeyValue): boolean => SERVER_KEYS.has(key) || HOST_KEYS.has(key);
  const places = pairs.filter(isHost).flatMap(({ key, value }) =>
    serverPlaces(text, value, (_host, isSingle) => {
      const own = key.startsWith("failover") ? partnerPort : port;
      if (own !== undefined) return own;
      return SERVER_KEYS.has(key) && isSingle ? byDefault(1433, 5432, 3306) : byDefault(5432, 3306);
    }),
  );
  // Where no server is found the string may be another's, and the value of a key ends before the next word.
  const guards = pairs
    .filter(({ key }) => isNoServer(key))
    .map(({ value }) => ({ ...(places.length === 0 ? upTo(text, value, /\s/) : value), kind: "secret" as const }));
  return { places, guards };
};

/**
 * Oracle Net's `(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=p))`: a host belongs with the port next to it; the port is
 * mandatory.
 */
export const descriptorPlaces = (text: string, within: Span): Place[] => {
  const hosts: { host: Span; port?: Span }[] = [];
  let loose: Span | undefined;
  for (const match of text.slice(within.start, within.end).matchAll(/\((host|port)\s*=([^()]*)\)/gi)) {
    const close = within.start + match.index + match[0].length;
    const value = trim(text, { start: close - 1 - String(match[2]).length, end: close - 1 });
    const last = hosts.at(-1);
    if (match[1]?.toLowerCase() === "host") {
      hosts.push({ host: value, ...(loose && { port: loose }) });
      loose = undefined;
    } else if (last !== undefined && last.port === undefined) last.port = value;
    else loose = value;
  }
  return hosts.flatMap(({ host, port }) => (port === undefined ? [] : [{ host, slot: written(port) }]));
};
