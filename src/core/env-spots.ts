import { readHost } from "./host.ts";

/** A place in a text where a host stands, and where its port stands or may be put. */
export type Spot = {
  /** Canonical. */
  readonly host: string;
  /** Where the host is written, brackets included. */
  readonly at: Range;
  /** The port that is written, or the one that the form implies; absent: it stands elsewhere. */
  readonly port?: number;
  /** Where the port is written. */
  readonly portAt?: Range;
  /** The port that most clients of this form would take, where other clients take others. */
  readonly assumed?: number;
  /** What separates an added port from the host; absent: none can be added here. */
  readonly separator?: ":" | ",";
  /** `mongodb+srv`: the servers are found by DNS SRV records of this host. */
  readonly isSrv?: true;
  /** `host\instance` without a port: a client asks SQL Server Browser (UDP 1434) for it. */
  readonly isInstance?: true;
};
export type Range = readonly [start: number, end: number];

/** Ports of URL schemes (IANA's registry, and the drivers' own documentation), for URLs that name none. */
const SCHEME_PORTS: Readonly<Record<string, number>> = {
  amqp: 5672, amqps: 5671, cassandra: 9042, clickhouse: 9000, cockroachdb: 26257, db2: 50000, ftp: 21, http: 80, https: 443, kafka: 9092,
  ldap: 389, ldaps: 636, mariadb: 3306, mongodb: 27017, mqtt: 1883, mqtts: 8883, mssql: 1433, mysql: 3306, nats: 4222, oracle: 1521,
  postgres: 5432, postgresql: 5432, redis: 6379, rediss: 6379, sftp: 22, smtp: 25, sqlserver: 1433, ssh: 22, valkey: 6379, ws: 80, wss: 443,
};

/** Keys of connection strings that hold the server (SqlClient, ODBC, Npgsql, MySqlConnector, JDBC for SQL Server), lower case. */
const SERVER_KEYS = new Set(["server", "data source", "datasource", "addr", "address", "network address", "host", "hostname", "servername"]);
const PORT_KEYS = new Set(["port", "portnumber"]);

/**
 * Where hosts stand in an env's value, by its form: URLs (several too, and JDBC's), connection strings of `key=value` pairs, libpq's,
 * Go's and Oracle's, host lists, a plain host. A host in a user name, password, path, query or database name is none. Linear in the length.
 */
export const findSpots = (text: string): readonly Spot[] => {
  if (/^\s*["']?[a-z][a-z0-9+.:-]*:\/\//i.test(text.slice(0, 200))) return urlSpots(text);
  const oracle = /^jdbc:oracle:[a-z0-9]+:[^@]*@(\/\/)?/i.exec(text);
  if (oracle !== null) return hostSpots(text, oracle[0].length, endOf(text, oracle[0].length, oracle[1] === undefined ? /[/?]/ : /[/?:]\w*$|[/?]/), 1521);
  const go = /@[a-z0-9]{1,9}\(/i.exec(text);
  if (go !== null) return hostSpots(text, go.index + go[0].length, endOf(text, go.index, /\)/), 3306);
  if (text.includes("=")) {
    const pairs = text.includes(";") || !/\s/.test(text.trim()) ? semicolonPairs(text) : spacePairs(text);
    const spots = pairSpots(text, pairs);
    if (spots.length > 0) return spots;
  }
  return hostSpots(text, 0, text.length);
};

/** The first match of `pattern` from `from` on, or the end. */
const endOf = (text: string, from: number, pattern: RegExp): number => {
  const found = text.slice(from).search(pattern);
  return found < 0 ? text.length : from + found;
};

/** `scheme://authority…`, several with commas between them. */
const urlSpots = (text: string): readonly Spot[] => {
  const starts = [...text.matchAll(/(?<=^|[\s,"'])([a-z][a-z0-9+.:-]{0,60}):\/\//gi)];
  return starts.flatMap((match, index) => {
    const scheme = (match[1] ?? "").toLowerCase();
    const from = match.index + match[0].length;
    const limit = starts[index + 1]?.index ?? text.length;
    const to = Math.min(endOf(text, from, /[/?#;"'\s]/), limit);
    const at = text.slice(from, to).lastIndexOf("@");
    const hosts = hostSpots(text, at < 0 ? from : from + at + 1, to, SCHEME_PORTS[scheme.replace(/^jdbc:/, "")], ":");
    const isSrv = scheme.endsWith("+srv");
    const properties = scheme === "jdbc:sqlserver" ? pairSpots(text, semicolonPairs(text, to)) : [];
    return [...hosts.map((spot) => (isSrv ? { ...spot, isSrv } : spot)), ...properties];
  });
};

/** A comma-separated list of `host`, `host:port`, `[ipv6]:port`; items with other characters are none. */
const hostSpots = (text: string, from: number, to: number, implied?: number, separator?: ":"): readonly Spot[] => {
  const spots: Spot[] = [];
  for (let start = from; start < to; ) {
    const comma = text.indexOf(",", start);
    const end = comma < 0 || comma > to ? to : comma;
    const spot = hostSpot(text, start, end, implied, separator);
    if (spot !== undefined) spots.push(spot);
    start = end + 1;
  }
  return spots;
};

const HOST_PORT = /^([\s"']*)(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9.-]*|[0-9a-f]*:[0-9a-f:.]*:[0-9a-f.]*)(\\[\w$]+)?(?:(:)(\d{1,5}))?(?::[\w.$-]*)?[\s"']*$/i;

const hostSpot = (text: string, from: number, to: number, implied?: number, separator?: ":" | ","): Spot | undefined => {
  if (to - from > 400) return undefined;
  const match = HOST_PORT.exec(text.slice(from, to));
  if (match === null) return undefined;
  const [, lead = "", written = "", instance, , digits] = match;
  const reading = readHost(written.replace(/^\[|\]$/g, ""));
  if (reading.kind === "invalid") return undefined;
  const start = from + lead.length;
  const end = start + written.length;
  const base = { host: reading.host, at: [start, end + (instance?.length ?? 0)] as const };
  if (digits !== undefined) {
    const portStart = end + (instance?.length ?? 0) + 1;
    return { ...base, port: Number(digits), portAt: [portStart, portStart + digits.length] };
  }
  if (instance !== undefined) return { ...base, isInstance: true };
  return { ...base, ...(implied !== undefined && { port: implied }), ...(separator !== undefined && { separator }) };
};

type Pair = { readonly key: string; /** The value, quotes not included. */ readonly at: Range };

/** `key=value;key="a;b"`: as ADO.NET and ODBC write them; a quote is doubled inside quotes of its kind. */
const semicolonPairs = (text: string, from = 0): readonly Pair[] => {
  const pairs: Pair[] = [];
  for (let start = from; start < text.length; ) {
    const equals = text.indexOf("=", start);
    if (equals < 0) break;
    const key = text.slice(start, equals).replace(/^[;\s]+/, "").trim().toLowerCase();
    const [at, next] = valueAt(text, equals + 1, ";");
    pairs.push({ key, at });
    start = next;
  }
  return pairs;
};

/** `key=value key='a b'`: as libpq writes them. */
const spacePairs = (text: string): readonly Pair[] => {
  const pairs: Pair[] = [];
  for (let start = 0; start < text.length; ) {
    const equals = text.indexOf("=", start);
    if (equals < 0) break;
    const [at, next] = valueAt(text, equals + 1, " ");
    pairs.push({ key: text.slice(start, equals).trim().toLowerCase(), at });
    start = next;
  }
  return pairs;
};

const valueAt = (text: string, from: number, end: ";" | " "): readonly [Range, next: number] => {
  let start = from;
  while (text[start] === " ") start += 1;
  const quote = text[start];
  if (quote === '"' || quote === "'") {
    let close = text.indexOf(quote, start + 1);
    while (close >= 0 && text[close + 1] === quote) close = text.indexOf(quote, close + 2);
    const stop = close < 0 ? text.length : close;
    const after = text.indexOf(end, stop);
    return [[start + 1, stop], after < 0 ? text.length : after + 1];
  }
  const found = text.indexOf(end, start);
  const stop = found < 0 ? text.length : found;
  return [[start, stop], stop + 1];
};

/** Hosts of the server keys, with the ports of the port key, one each or one for all. */
const pairSpots = (text: string, pairs: readonly Pair[]): readonly Spot[] => {
  const ports = pairs.filter(({ key }) => PORT_KEYS.has(key)).flatMap(({ at }) => items(text, at));
  return pairs
    .filter(({ key }) => SERVER_KEYS.has(key) || key === "hostaddr")
    .flatMap(({ at }) => serverSpots(text, at).map((spot, index, all) => withPort(text, spot, ports, index, all.length)));
};

const items = (text: string, [start, end]: Range): readonly Range[] => {
  const ranges: Range[] = [];
  for (let from = start; from <= end; ) {
    const comma = text.indexOf(",", from);
    const to = comma < 0 || comma > end ? end : comma;
    ranges.push([from, to]);
    from = to + 1;
  }
  return ranges;
};

/** SqlClient's `tcp:host,port` and `host\instance`, or a list of hosts. */
const serverSpots = (text: string, [start, end]: Range): readonly Spot[] => {
  const value = text.slice(start, Math.min(end, start + 400));
  const match = /^\s*(?:tcp:)?/i.exec(value);
  const from = start + (match?.[0].length ?? 0);
  const sql = /^([^,]+),\s*(\d{1,5})\s*$/.exec(text.slice(from, end).slice(0, 400));
  if (sql === null) return hostSpots(text, from, end);
  const [, host = "", digits = ""] = sql;
  const spot = hostSpot(text, from, from + host.length);
  const portStart = from + sql[0].lastIndexOf(digits);
  if (spot === undefined) return [];
  const { isInstance: _, ...plain } = spot;
  return [{ ...plain, port: Number(digits), portAt: [portStart, portStart + digits.length] }];
};

const SQL_PORT = 1433;
const SQL_KEY = /(^|;)\s*(server|data source|addr|address|network address)\s*=/i;

/** A server without a port of its own takes the port key's; without one SQL Server's, which alone may be added after a comma. */
const withPort = (text: string, spot: Spot, ports: readonly Range[], index: number, hosts: number): Spot => {
  if (spot.port !== undefined || spot.isInstance === true) return spot;
  const at = ports[index] ?? ports[0];
  if (at === undefined) return hosts === 1 && SQL_KEY.test(text) ? { ...spot, assumed: SQL_PORT, separator: "," } : spot;
  const digits = text.slice(...at).trim();
  if (!/^\d{1,5}$/.test(digits)) return spot;
  const isOwn = ports.length === hosts;
  return { ...spot, port: Number(digits), ...(isOwn && { portAt: at }) };
};
