import { portSlot, semicolonKeyValues, serverPlaces, descriptorPlaces } from "./keyvalue.ts";
import { hostsOfList } from "./libpq.ts";
import { byDefault, type Place, readAddress, type Span, split, unknown, upTo, written } from "./place.ts";
import { defaultPort } from "./default-port.ts";

type Url = { readonly from: number; readonly scheme: string; readonly authority: number };

const isSchemeChar = (code: number): boolean =>
  (code >= 97 && code <= 122) ||
  (code >= 65 && code <= 90) ||
  (code >= 48 && code <= 57) ||
  [43, 45, 46].includes(code);

/** Every `scheme://` at the start of the string or of an item of a list; one in a query or a fragment is none. */
const findUrls = (text: string): Url[] => {
  const urls: Url[] = [];
  let floor = 0;
  for (let at = text.indexOf("://"); at >= 0; at = text.indexOf("://", floor)) {
    let from = at;
    while (from > floor && isSchemeChar(text.charCodeAt(from - 1))) from -= 1;
    const before = text.charAt(from - 1);
    const last = urls.at(-1);
    const inQuery = last !== undefined && /^[,;|]$/.test(before) && /[?#]/.test(text.slice(last.authority, from));
    if (from < at && (from === 0 || /[,;|\s]/.test(before)) && !inQuery) {
      urls.push({ from, scheme: text.slice(from, at).toLowerCase(), authority: at + 3 });
    }
    floor = at + 3;
  }
  return urls;
};

/** RFC 3986's authority, with the lists of hosts that databases allow. User and password end at the last `@`. */
const authority = (text: string, within: Span): Span => {
  const whole = upTo(text, within, /[/?#\s\\]/);
  const user = text.slice(whole.start, whole.end).lastIndexOf("@");
  return upTo(text, { start: whole.start + user + 1, end: whole.end }, /;/);
};

const hostPlaces = (text: string, hosts: Span, port: number | undefined): Place[] =>
  split(text, hosts, ",").flatMap((part) => {
    const found = readAddress(text, part);
    if (found === undefined) return [];
    if (found.port !== undefined) return [{ host: found.host, slot: written(found.port) }];
    const { host } = found;
    return [{ host, slot: port === undefined ? unknown(host.end, ":") : byDefault(port, host.end, ":") }];
  });

/** libpq: `postgresql:///db?host=h&port=p` names the server in the query, where the authority names none. */
const queryPlaces = (text: string, { start, end }: Span): Place[] => {
  const question = text.slice(start, end).indexOf("?");
  if (question < 0) return [];
  const pairs = split(text, { start: start + question + 1, end }, "&");
  const valueOf = (key: string): Span | undefined => {
    const pair = pairs.find((span) => text.slice(span.start, span.end).startsWith(`${key}=`));
    return pair && { start: pair.start + key.length + 1, end: pair.end };
  };
  const host = valueOf("host");
  return host === undefined ? [] : hostsOfList(text, host, valueOf("port"), host.end, "&port=");
};

/** URLs, one or a list of them; empty when the string does not begin with one. */
export const urlPlaces = (text: string): Place[] =>
  findUrls(text).flatMap(({ scheme, authority: start }, at, urls) => {
    const within = { start, end: urls[at + 1]?.from ?? text.length };
    const hosts = authority(text, within);
    if (/^postgres(ql)?(\+|$)/.test(scheme) && hosts.start === hosts.end) return queryPlaces(text, within);
    const places = hostPlaces(text, hosts, defaultPort(scheme));
    return scheme.endsWith("+srv") ? places.map((place) => ({ ...place, limit: "srv" as const })) : places;
  });

/** `jdbc:sqlserver://[host[\instance][:port]][;serverName=…;portNumber=…]` (Microsoft JDBC driver, "Building the URL"). */
const sqlServerPlaces = (text: string, start: number): Place[] => {
  const stop = text.indexOf(";", start);
  const server = { start, end: stop < 0 ? text.length : stop };
  const pairs = semicolonKeyValues(text, server.end);
  const port = portSlot(text, pairs);
  if (server.start < server.end) {
    return serverPlaces(text, server, (host) => port ?? byDefault(1433, host.end, ":"), ":");
  }
  const named = pairs.find(({ key }) => key === "servername" || key === "server");
  if (named === undefined) return [];
  return serverPlaces(text, named.value, () => port ?? byDefault(1433, named.end, ";portNumber="), ",");
};

/** `jdbc:oracle:thin:[user/password]@[//]host:port(/service|:sid)`, or a descriptor in parentheses. */
const oraclePlaces = (text: string): Place[] => {
  const at = text.lastIndexOf("@") + 1;
  if (text[at] === "(") return descriptorPlaces(text, { start: at, end: text.length });
  const start = text.length - text.slice(at).replace(/^(tcps?:)?\/\//i, "").length;
  return split(text, upTo(text, { start, end: text.length }, /[/?]/), ",").flatMap((part) => {
    const item = text.slice(part.start, part.end);
    const sid = item.indexOf(":", item.indexOf(":", item.indexOf("]") + 1) + 1);
    return hostPlaces(text, { start: part.start, end: sid > 0 ? part.start + sid : part.end }, 1521);
  });
};

/** JDBC and R2DBC: `jdbc:<database>[:<variant>]://hosts`. */
export const jdbcPlaces = (text: string): Place[] => {
  if (/^jdbc:oracle:/i.test(text)) return oraclePlaces(text);
  const start = text.indexOf("://") + 3;
  if (start < 3) return [];
  const names = text
    .slice(0, start - 3)
    .toLowerCase()
    .split(":");
  if (names[1] === "sqlserver" && names[0] === "jdbc") return sqlServerPlaces(text, start);
  const port = names.map(defaultPort).find((number) => number !== undefined);
  return hostPlaces(text, authority(text, { start, end: text.length }), port);
};
