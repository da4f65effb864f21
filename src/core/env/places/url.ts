import { defaultPort } from "./default-port.ts";
import { descriptorPlaces, isNoServer, portSlot, semicolonKeyValues, serverPlaces } from "./keyvalue.ts";
import { hostsOfList } from "./libpq.ts";
import {
  byDefault,
  instance,
  type Place,
  type Places,
  readAddress,
  type Slot,
  type Span,
  split,
  unknown,
  upTo,
  written,
} from "./place.ts";

type Url = { readonly from: number; readonly scheme: string; readonly authority: number };
type Guard = Places["guards"][number];

const isSchemeChar = (code: number): boolean =>
  (code >= 97 && code <= 122) ||
  (code >= 65 && code <= 90) ||
  (code >= 48 && code <= 57) ||
  [43, 45, 46, 95].includes(code);

/**
 * Every `scheme://` at the start of the string or of an item of a list; one in a query that no list follows is none.
 */
const findUrls = (text: string): Url[] => {
  const urls: Url[] = [];
  let floor = 0;
  let query = -1;
  for (let at = text.indexOf("://"); at >= 0; at = text.indexOf("://", floor)) {
    let from = at;
    while (from > floor && isSchemeChar(text.charCodeAt(from - 1))) from -= 1;
    const before = text.charAt(from - 1);
    const scheme = text.slice(from, at).toLowerCase();
    const last = urls.at(-1);
    // A query may hold a list with a URL in it; URLs of one scheme, one behind the other, are a list of URLs.
    const isInQuery = last !== undefined && scheme !== last.scheme && /^[,;|]$/.test(before) && query < from;
    if (from < at && (from === 0 || /[,;|\s]/.test(before)) && !isInQuery) {
      urls.push({ from, scheme, authority: at + 3 });
      if (query < at) query = upTo(text, { start: at + 3, end: text.length }, /[?#]/).end;
    }
    floor = at + 3;
  }
  return urls;
};

/** RFC 3986's authority, with the lists of hosts that databases allow. User and password end at the last `@`. */
const authority = (text: string, within: Span): Span => {
  const whole = upTo(text, within, /[/?#\s\\]/);
  const user = text.slice(whole.start, whole.end).lastIndexOf("@");
  return upTo(text, { start: whole.start + user + 1, end: whole.end }, /;[^;]*=/);
};

const hostPlaces = (text: string, hosts: Span, without: Slot): Place[] =>
  split(text, hosts, /[,;]/).flatMap((part) => {
    const found = readAddress(text, part);
    if (found === undefined) return [];
    return [{ host: found.host, slot: found.port === undefined ? without : written(found.port) }];
  });

/** The parts around the hosts of a URL: the user before them; the path, the query and the fragment behind. */
const around = (start: number, hosts: Span, end: number): Guard[] => [
  { start, end: hosts.start, kind: "secret" },
  { start: hosts.end, end, kind: "tail" },
];

/** libpq: `?host=h&port=p` in the query names the server, and overrides the authority. */
const queryPlaces = (text: string, { start, end }: Span): Place[] => {
  const question = text.slice(start, end).indexOf("?");
  if (question < 0) return [];
  const pairs = split(text, { start: start + question + 1, end }, "&");
  const valueOf = (key: string): Span | undefined => {
    const pair = pairs.find((span) => text.slice(span.start, span.end).startsWith(`${key}=`));
    return pair && { start: pair.start + key.length + 1, end: pair.end };
  };
  const host = valueOf("host");
  return host === undefined ? [] : hostsOfList(text, host, valueOf("port"));
};

const limitOf = (scheme: string): Pick<Place, "limit"> =>
  scheme.endsWith("+srv") ? { limit: "srv" } : /^udp[46]?$/.test(scheme) ? { limit: "udp" } : {};

const ofUrl = (text: string, scheme: string, within: Span): Places => {
  const hosts = authority(text, within);
  // A list of addresses in parentheses, each with an authority of its own.
  if (/(^|[^$])\(/.test(text.slice(hosts.start, hosts.end)))
    return {
      places: descriptorPlaces(text, within),
      guards: [{ start: within.start, end: hosts.start, kind: "secret" }],
    };
  const port = defaultPort(scheme);
  const isInstance = text[hosts.end] === "\\" && /^(mssql|sqlserver)/.test(scheme);
  const without = isInstance ? instance : port === undefined ? unknown : byDefault(port);
  const limit = limitOf(scheme);
  const inQuery = /^postgres(ql)?(\+|$)/.test(scheme) ? queryPlaces(text, { start: hosts.end, end: within.end }) : [];
  const places =
    hosts.start === hosts.end ? [] : hostPlaces(text, hosts, without).map((place) => ({ ...place, ...limit }));
  return { places: [...places, ...inQuery], guards: around(within.start, hosts, within.end) };
};

/** URLs, one or a list of them. */
export const urlPlaces = (text: string): Places => {
  const urls = findUrls(text);
  const found = urls.map(({ scheme, authority: start }, at) =>
    ofUrl(text, scheme, { start, end: urls[at + 1]?.from ?? text.length }),
  );
  return { places: found.flatMap(({ places }) => places), guards: found.flatMap(({ guards }) => guards) };
};

/**
 * `jdbc:sqlserver://[host[\instance][:port]][;serverName=…;portNumber=…]` (Microsoft JDBC driver, "Building the URL").
 */
const sqlServerPlaces = (text: string, start: number): Places => {
  const stop = text.indexOf(";", start);
  const server = { start, end: stop < 0 ? text.length : stop };
  const pairs = semicolonKeyValues(text, server.end);
  const hasInstance = pairs.some(({ key }) => key === "instancename");
  const port = portSlot(text, pairs) ?? (hasInstance ? instance : byDefault(1433));
  const isServer = ({ key }: { readonly key: string }): boolean =>
    key === "failoverpartner" || (server.start === server.end && (key === "servername" || key === "server"));
  const guards = pairs.filter(({ key }) => isNoServer(key)).map(({ value }) => ({ ...value, kind: "secret" as const }));
  const spans = [...(server.start < server.end ? [server] : []), ...pairs.filter(isServer).map(({ value }) => value)];
  return { places: spans.flatMap((span) => serverPlaces(text, span, () => port)), guards };
};

/** `jdbc:oracle:thin:[user/password]@[//]host:port(/service|:sid)`, or a descriptor in parentheses. */
const oraclePlaces = (text: string): Places => {
  const at = text.lastIndexOf("@") + 1;
  const user: Guard = { start: 0, end: at, kind: "secret" };
  if (text[at] === "(") return { places: descriptorPlaces(text, { start: at, end: text.length }), guards: [user] };
  const start = text.length - text.slice(at).replace(/^(tcps?:)?\/\//i, "").length;
  const hosts = upTo(text, { start, end: text.length }, /[/?]/);
  const found = split(text, hosts, /[,;]/).flatMap((part) => {
    const item = text.slice(part.start, part.end);
    const sid = item.indexOf(":", item.indexOf(":", item.indexOf("]") + 1) + 1);
    return readAddress(text, { start: part.start, end: sid > 0 ? part.start + sid : part.end }) ?? [];
  });
  // Easy Connect Plus: a host without a port takes the next one that is written.
  let slot = byDefault(1521);
  const places = found.toReversed().map(({ host, port }): Place => {
    if (port !== undefined) slot = written(port);
    return { host, slot };
  });
  return { places: places.toReversed(), guards: [user, { start: hosts.end, end: text.length, kind: "tail" }] };
};

/** JDBC and R2DBC: `jdbc:<database>[:<variant>]://hosts`. */
export const jdbcPlaces = (text: string): Places => {
  if (/^\s*jdbc:oracle:/i.test(text)) return oraclePlaces(text);
  const start = text.indexOf("://") + 3;
  if (start < 3) return { places: [], guards: [] };
  const names = text
    .slice(0, start - 3)
    .trimStart()
    .toLowerCase()
    .split(":");
  if (names.includes("sqlserver") && names[0] === "jdbc") return sqlServerPlaces(text, start);
  const last = names.at(-1) as string;
  const scheme = names.find((name) => defaultPort(name) !== undefined) ?? last;
  const found = ofUrl(text, scheme, { start, end: text.length });
  return names.some((name) => name.endsWith("+srv"))
    ? { ...found, places: found.places.map((place) => ({ ...place, limit: "srv" })) }
    : found;
};
