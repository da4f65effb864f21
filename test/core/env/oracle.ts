/**
 * Values made from templates: texts with holes for hosts and ports. The template alone reads such a text back, without
 * the code under test. Its hosts and ports stand in the holes, and all other text must be unchanged.
 */
import fc from "fast-check";

export type Endpoint = { readonly host: string; readonly port: number };

/** `H0`, `P0`: the first host and its port; `W`: a word that is the first host, where it must stay. */
type Template = {
  readonly family: string;
  readonly text: string;
  /** The port that the client takes where the template has none. */
  readonly port?: number;
  /** It holds an IPv6 address in brackets. */
  readonly isUrl?: true;
};

export const TEMPLATES: readonly Template[] = [
  { family: "host and port", text: "H0:P0" },
  { family: "URL", text: "nats://u:pH0@H0:P0/W?x=W", isUrl: true },
  { family: "URL", text: "postgresql://u:p@H0:P0,H1:P1/db?application_name=W", isUrl: true },
  { family: "URL without a port", text: "postgres://u:p@H0/W", port: 5432, isUrl: true },
  { family: "URL without a port", text: "mssql+pymssql://H0/db", port: 1433, isUrl: true },
  { family: "list of URLs", text: "nats://H0:P0,nats://u:W@H1:P1", isUrl: true },
  { family: "list", text: "H0:P0,H1:P1" },
  { family: "list", text: "H0:P0;H1:P1 " },
  { family: "ADO.NET", text: "Server=tcp:H0,P0;Database=W;Password='W;Server=W'" },
  { family: "ADO.NET", text: "Data Source=H0,P0;Failover Partner=H1,P1;User ID=W" },
  { family: "ADO.NET", text: "Host=H0;Port=P0;Username=W" },
  { family: "ADO.NET without a port", text: "Server=H0;Database=x", port: 1433 },
  { family: "libpq", text: "host=H0 port=P0 user=W password='W host=W'" },
  { family: "libpq", text: "host=H0,H1 port=P0,P1 dbname=W" },
  { family: "libpq without a port", text: "dbname=x host=H0", port: 5432 },
  { family: "JDBC", text: "jdbc:sqlserver://H0:P0;databaseName=W;password={W}" },
  { family: "JDBC", text: "jdbc:mysql:loadbalance://H0:P0,H1:P1/db?user=W", isUrl: true },
  { family: "JDBC without a port", text: "jdbc:postgresql://H0/db", port: 5432, isUrl: true },
  { family: "Oracle", text: "jdbc:oracle:thin:u/W@//H0:P0/svc" },
  { family: "Oracle", text: "jdbc:oracle:thin:@H0:P0,H1:P1/svc" },
  { family: "Oracle descriptor", text: "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=H0)(PORT=P0))(ADDRESS=(PORT=P1)(HOST=H1)))" },
  { family: "MongoDB", text: "mongodb://u:W@H0:P0,H1:P1/db?replicaSet=W", isUrl: true },
  { family: "Redis", text: "H0:P0,password=W,ssl=false" },
  { family: "Go MySQL", text: "u:W@tcp(H0:P0)/db" },
  { family: "JSON", text: '{"host":"H0","port":P0,"password":"W"}' },
  { family: "JSON", text: '{"dsn":"postgres://u:p@H0:P0/db?x=1","hosts":["H1:P1"]}' },
  { family: "YAML", text: "db:\n  host: H0\n  port: P0\nbrokers:\n  - H1:P1\n" },
  { family: "INI", text: "[db]\nhost = H0\nport = P0\npassword = W\n" },
  { family: "options", text: "-Ddb.url=jdbc:sqlserver://H0:P0;databaseName=x -Dh=H1 -Dp=P1" },
  { family: "driver's prefix", text: "sqlsrv:Server=H0,P0;Database=x" },
  { family: "driver's prefix", text: "mysql:host=H0;port=P0;dbname=x" },
  { family: "MQ", text: "H0(P0),H1(P1)" },
  { family: "failover", text: "failover:(tcp://H0:P0,tcp://H1:P1)?randomize=false" },
  { family: "percent-encoded", text: "Driver%3Dx%3BServer%3DH0%2CP0%3BDatabase%3Dx" },
]; // prettier-ignore

const HOLE = /([HPW])(\d?)/;

/** The pieces of a template: its own text, and its holes. */
const piecesOf = (text: string): readonly string[] => text.split(/((?<![A-Za-z_])[HP]\d|pH0|(?<![A-Za-z])W(?![a-z]))/);

const isHole = (piece: string): boolean => /^([HP]\d|pH0|W)$/.test(piece);

/** IPv6 addresses stand in brackets in a URL, and before a port. */
const written = (host: string, { isUrl }: Template, next: string | undefined): string =>
  host.includes(":") && (isUrl === true || next?.startsWith(":") === true) ? `[${host}]` : host;

/** The text that a template makes of endpoints; `put` says what stands in a hole for a host or a port. */
export const make = (
  template: Template,
  endpoints: readonly Endpoint[],
  put: (hole: string, text: string) => string = (_hole, text) => text,
): string =>
  piecesOf(template.text)
    .map((piece, index, pieces) => {
      if (!isHole(piece)) return piece;
      const [, kind, at] = HOLE.exec(piece) ?? [];
      const endpoint = endpoints[Number(at === "" ? 0 : at)] as Endpoint;
      if (piece === "W") return endpoints[0]?.host ?? "";
      if (piece === "pH0") return `p${endpoint.host}`;
      return kind === "H"
        ? put(piece, written(endpoint.host, template, pieces[index + 1]))
        : put(piece, String(endpoint.port));
    })
    .join("");

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

/**
 * The hosts of a text that a template made of endpoints, when all else is as it was; undefined: something else has
 * changed.
 */
export const readBack = (
  template: Template,
  text: string,
  endpoints: readonly Endpoint[],
): readonly string[] | undefined => {
  const pattern = piecesOf(template.text)
    .map((piece) => {
      if (/^H\d$/.test(piece)) return `(?<${piece}>[^\\s/,;()"'@]+?)`;
      if (/^P\d$/.test(piece)) return String(endpoints[Number(piece[1])]?.port);
      return isHole(piece) ? escaped(make({ ...template, text: piece }, endpoints)) : escaped(piece);
    })
    .join("");
  const found = new RegExp(`^${pattern}$`).exec(text);
  return found === null ? undefined : Object.values(found.groups ?? {}).map((host) => host.replace(/^\[(.*)\]$/, "$1"));
};

/** How many endpoints a template has. */
export const sizeOf = ({ text }: Template): number => (text.includes("H1") ? 2 : 1);

/** Expands `$(VAR)` and `$$` as Kubernetes does; env that were defined before are known. */
export const expanded = (
  env: readonly { readonly name: string; readonly value: string }[],
): ReadonlyMap<string, string> => {
  const known = new Map<string, string>();
  for (const { name, value } of env)
    known.set(
      name,
      value.replace(/\$(\$|\(([^)]*)\))/g, (all, sign: string, of: string) =>
        sign === "$" ? "$" : (known.get(of) ?? all),
      ),
    );
  return known;
};

export const HOSTS = ["10.0.0.5", "10.0.0.6", "10.0.0.50", "sql.corp.example.com", "a.sql.corp.example.com", "fd00::5"];
export const PORTS = [1433, 5432, 1434, 9092];

/** One env of a pod: a template with its endpoints, and which of its holes stand in env of their own. */
export type Use = {
  readonly template: Template;
  readonly endpoints: readonly Endpoint[];
  readonly isReferred: boolean;
  /** A host stands in two pieces, one of them in an env of its own. */
  readonly isSplit: boolean;
};

/** Uses whose endpoints are at these hosts. */
export const useOf = (hosts: readonly string[]): fc.Arbitrary<Use> =>
  fc.record({
    template: fc.constantFrom(...TEMPLATES),
    endpoints: fc.array(fc.record({ host: fc.constantFrom(...hosts), port: fc.constantFrom(...PORTS) }), {
      minLength: 2,
      maxLength: 2,
    }),
    isReferred: fc.boolean(),
    isSplit: fc.nat(9).map((at) => at === 0),
  });

export type Literal = { readonly name: string; readonly value: string };

/**
 * The env of a use, its holes in env of their own where it is asked for. An IPv6 address in brackets stands in no env
 * of its own.
 */
export const envOf = ({ template, endpoints, isReferred, isSplit }: Use, at: number): readonly Literal[] => {
  const own: Literal[] = [];
  const put = (hole: string, text: string): string => {
    if (!isReferred || text.startsWith("[")) return text;
    const name = `${hole}_${at}`;
    if (isSplit && hole.startsWith("H")) {
      own.push({ name, value: text.slice(0, -1) });
      return `$(${name})${text.slice(-1)}`;
    }
    own.push({ name, value: text });
    return `$(${name})`;
  };
  const value = make(template, endpoints, put);
  return [...own, { name: `U${at}`, value }];
};
