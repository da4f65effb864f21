import "../seed.ts";
import t from "tap";
import fc from "fast-check";
import { readTargets } from "../../src/core/annotation.ts";
import { freeName } from "../../src/core/names.ts";
import { isCoverageMeasured } from "../program.ts";

const targetsOf = (text: string) => {
  const read = readTargets(text);
  if (read.kind === "reject") throw new Error(read.message);
  return read.targets;
};
const refusal = (text: string) => {
  const read = readTargets(text);
  if (read.kind !== "reject") throw new Error(`accepted: ${JSON.stringify(read)}`);
  return read;
};

t.test("the short list", async (t) => {
  t.strictSame(targetsOf("mssql=10.0.0.5:1433, postgres=10.0.0.6:5432"), [
    { name: "mssql", host: "10.0.0.5", port: 1433, hostEnv: [], portEnv: [], aliases: [] },
    { name: "postgres", host: "10.0.0.6", port: 5432, hostEnv: [], portEnv: [], aliases: [] },
  ]);
  t.match(targetsOf("10.0.0.5:1433"), [{ name: "target-10-0-0-5-1433" }]);
  t.match(targetsOf("\n a=SQL.corp.example.com.:1 \n b=[fd00::5]:5432,\n"), [
    { name: "a", host: "sql.corp.example.com", port: 1 },
    { name: "b", host: "fd00::5", port: 5432 },
  ]);
  t.match(targetsOf("[FD00::5]:5432, x=10.0.0.5:1"), [{ name: "target-fd00-5-5432", host: "fd00::5" }, { name: "x" }]);
});

t.test("the long list, in YAML and in JSON", async (t) => {
  const yaml = `
- name: mssql
  targetHost: 10.0.0.5
  targetPort: 1433
  tunnel: wg0
  aliases: [ERP.corp.example.com.]
  hostEnv: MSSQL_HOST
  portEnv: [MSSQL_PORT, DB_PORT]
  redirect: env
- { targetHost: sql.corp.example.com, targetPort: "1433" }
`;
  const expected = [
    {
      name: "mssql",
      host: "10.0.0.5",
      port: 1433,
      hostEnv: ["MSSQL_HOST"],
      portEnv: ["MSSQL_PORT", "DB_PORT"],
      aliases: ["erp.corp.example.com"],
      tunnel: "wg0",
      redirect: "env",
    },
    {
      name: "target-sql-corp-example-com-1433",
      host: "sql.corp.example.com",
      port: 1433,
      hostEnv: [],
      portEnv: [],
      aliases: [],
    },
  ];
  t.strictSame(targetsOf(yaml), expected);
  const json = `[{"name":"mssql","targetHost":"10.0.0.5","targetPort":1433,"aliases":["erp.corp.example.com"],"tunnel":"wg0","hostEnv":"MSSQL_HOST",
    "portEnv":["MSSQL_PORT","DB_PORT"],"redirect":"env"},{"targetHost":"sql.corp.example.com","targetPort":"1433"}]`;
  t.strictSame(targetsOf(json), expected);
  t.strictSame(targetsOf(`---\n${yaml.trim()}`), expected);
  t.strictSame(targetsOf(`# what we need\n${yaml}`), expected);
});

t.test("names that are derived from host and port differ for different hosts and ports", async (t) => {
  const names = targetsOf("a.b.corp:1, a-b.corp:1, target-a-b-corp-1-3=c.corp:1, a.b-corp:1").map(({ name }) => name);
  t.strictSame(names, ["target-a-b-corp-1", "target-a-b-corp-1-2", "target-a-b-corp-1-3", "target-a-b-corp-1-4"]);
});

t.test("an error names entry, field, value, reason and the nearest valid form", async (t) => {
  const refusals: Record<string, RegExp> = {
    "": /flowgen\.io\/private-targets: names no target/,
    "a=10.0.0.5:99999": /private-targets\[0\]\.targetPort: 99999 is not a port \(1-65535\)$/,
    "kubernetes-service=10.0.0.5:443":
      /\[0\]: KUBERNETES_SERVICE_HOST: by this env a pod finds the API server: take another name/,
    "a=10.0.0.5:0": /\[0\]\.targetPort: "0" is not a port/,
    "a=10.0.0.5:65536": /: 65536 is not a port/,
    "a=10.0.0.5:01433": /"01433" is not a port/,
    "a=10.0.0.5": /\[0\]: "a=10\.0\.0\.5" has no port: write name=host:port/,
    "a=[fd00::5]": /has no port: write name=\[host\]:port/,
    "a=10.0.0.5:1433; b=10.0.0.6:1433": /separate targets by commas/,
    "a=10.0.0.5:1433 b=10.0.0.6:1433": /separate targets by commas/,
    "mssql: 10.0.0.5:1433": /write = after the name/,
    "mssql://10.0.0.5:1433/db": /\[0\]: .* is a URL: write name=host:port/,
    "a=mssql://10.0.0.5:1433": /\[0\]: .* is a URL: write name=host:port/,
    "name: a\ntargetHost: 10.0.0.5\ntargetPort: 1433": /targets: begin each entry of a list with `- `/,
    "a:\n  targetHost: 10.0.0.5\n  targetPort: 1433": /targets: begin each entry of a list with `- `/,
    "- 10.0.0.5:1433": /\[0\]: write name=host:port without `- `/,
    "- mssql: 10.0.0.5:1433": /\[0\]: write name=host:port without `- `/,
    "kubernetes-service=10.0.0.5:1433": /\[0\]: KUBERNETES_SERVICE_HOST: by this env a pod finds the API server/,
    "- {targetHost: 10.0.0.5, targetPort: 1, hostEnv: KUBERNETES_SERVICE_HOST}": /\[0\]: KUBERNETES_SERVICE_HOST: /,
    "- {targetHost: 10.0.0.5, targetPort: 1, hostEnv: A}\n- {targetHost: 10.0.0.6, targetPort: 1, hostEnv: [B, A]}":
      /\[1\]\.hostEnv: A stands in \[0\]\.hostEnv already, with another value$/,
    "- {targetHost: 10.0.0.5, targetPort: 1, portEnv: A}\n- {targetHost: 10.0.0.5, targetPort: 2, portEnv: A}":
      /\[1\]\.portEnv: A stands in \[0\]\.portEnv already, with another value$/,
    "- {targetHost: 10.0.0.5, targetPort: 1, hostEnv: A, portEnv: A}":
      /\[0\]\.portEnv: A stands in \[0\]\.hostEnv already, with another value$/,
    "a=fd00::5:5432": /IPv6 host stands in brackets/,
    "x=10.0.0.6:1, a=10.5:1433": /\[1\]\.targetHost: "10\.5": .*did you mean 10\.0\.0\.5\?/,
    "MSSQL=10.0.0.5:1433": /\[0\]\.name: "MSSQL" is not a name: .*did you mean mssql\?/,
    "1c=10.0.0.5:1433": /did you mean c\?/,
    "ж=10.0.0.5:1433": /"\\u0436" is not a name: .*all lower case$/,
    "a=10.0.0.5:1, a=10.0.0.6:1": /\[1\]: the name a stands in \[0\] already/,
    "a=10.0.0.5:1, b=10.0.0.5:1": /\[1\]: the target stands in \[0\] already/,
    "postgres://app:s3cret@10.0.0.6:5432/prod": /\(hidden: it may hold a password\)/,
    "- targetHost: 10.0.0.5\n  targetPort: 1433.5": /targetPort: 1433\.5 is not a port/,
    "- targetHost: 10.0.0.5": /\[0\]\.targetPort: is missing/,
    "- targetPort: 1": /\[0\]\.targetHost: is missing/,
    "- targetHost: 10.0.0.5\n  targetPrt: 1433\n  targetPort: 1": /unknown key "targetPrt"; did you mean targetPort\?/,
    "- targetHost: 10.0.0.5\n  targetPort: 1433\n  port: 1433": /unknown key "port"; did you mean targetPort\?/,
    "- host: 10.0.0.5\n  targetPort: 1433": /unknown key "host"; did you mean targetHost\?/,
    "- targetHost: 10.0.0.5\n  targetPort: 1433\n  servicePort: 1434": /every target keeps its own port: remove it/,
    "- {targetHost: 10.0.0.5, targetPort: 1, aliases: [10.0.0.6]}":
      /aliases\[0\]: 10\.0\.0\.6 is an address: an alias is a DNS name/,
    "- {targetHost: 10.0.0.5, targetPort: 1, aliases: [a.b.svc.cluster.local]}":
      /aliases\[0\]: .* is a name of the cluster's own/,
    "- {targetHost: 10.0.0.5, targetPort: 1, aliases: erp}": /aliases: not a list of DNS names/,
    "- {targetHost: 10.0.0.5, targetPort: 1, redirect: hostAlias}":
      /\[0\]\.redirect: 10\.0\.0\.5 is an address without a name: add aliases, or write redirect: env/,
    '[{"targetHost":"10.0.0.5","targetPort":1,"__proto__":{"x":1}}]': /unknown key "__proto__"/,
    "- targetHost: 10.0.0.5\n  targetPort: 1\n  hostEnv: 'A B'": /\[0\]\.hostEnv/,
    "- targetHost: 10.0.0.5\n  targetPort: 1\n  hostEnv: [1X]": /\[0\]\.hostEnv/,
    "- targetHost: 10.0.0.5\n  targetPort: 1\n  redirect: magic": /"magic" is none of env, hostAlias, auto/,
    "- 1": /not a map of keys and values/,
    "{a: 1}": /not a list of targets/,
    "- &a [1]\n- *a": /not a plain list/,
    "- a: b: c": /not YAML or JSON/,
    "- a\u0000": /write name=host:port/,
    "---\n- {targetHost: 10.0.0.5, targetPort: 1}\n---\n- {targetHost: 10.0.0.6, targetPort: 1}":
      /targets: more than one YAML document$/,
    "- {targetHost: 10.5, targetPort: 1}": /\[0\]\.targetHost: 10\.5 is not a text: put it in quotes/,
    "S3cret=10.5:1433 # token": /\[0\]\.targetHost: \(hidden\): not an IPv4 address[^?]*$/,
    "db=postgres://app:s3cret,x@10.0.0.6:5432/prod": /\[0\]: \(hidden\) is a URL: write name=host:port/,
  };
  for (const [text, message] of Object.entries(refusals)) {
    const { reason, message: said } = refusal(text);
    t.equal(reason, "annotation-invalid", text);
    t.match(said, message);
    t.notMatch(said, /s3cret/);
  }
});

t.test("hostile annotations are refused whole and at once", async (t) => {
  const bomb = [
    "- &a [x,x]",
    ...Array.from(
      { length: 20 },
      (_, i) => `- &${String.fromCharCode(98 + i)} [*${String.fromCharCode(97 + i)},*${String.fromCharCode(97 + i)}]`,
    ),
  ].join("\n");
  t.match(refusal(bomb).message, /not a plain list/);
  t.match(refusal("[".repeat(16_000)).message, /private-targets/);
  t.match(refusal("x".repeat(1 << 20)).message, /1048576 characters, at most 16384/);
  t.match(
    refusal(Array.from({ length: 10_000 }, (_, i) => `:${i}`).join(",")).message,
    /58889 characters, at most 16384/,
  );
  t.match(refusal(Array.from({ length: 2000 }, (_, i) => `a:${i}`).join(",")).message, /2000 entries, at most 128/);
  t.ok(refusal(Array.from({ length: 100 }, () => `-${"é".repeat(300)}=10.0.0.5:0`).join(",")).message.length < 4000);
});

const MOST_MICROSECONDS = isCoverageMeasured ? 5_000_000 : 250_000;
const cpuOf = (run: () => void): number => {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return user + system;
};

/** The least of some tries: the first one compiles the reader, and its garbage collection is that of earlier tests. */
t.test("the time to read YAML is bounded by its length", async (t) => {
  const fill = (piece: string): string => piece.repeat(16_000 / piece.length);
  const keys = Array.from({ length: 2400 }, (_, key) => `k${key}`).join(", ");
  const slow: [text: string, message: RegExp][] = [
    [`- ${"{".repeat(500)}${"}".repeat(500)}`, /a key that is no text/],
    [`- ${"? ".repeat(500)}`, /a key that is no text/],
    [`- ${"[".repeat(500)}${"]".repeat(500)}`, /more than 4 levels of lists and maps/],
    [`- {${keys}}`, /unknown key/],
    [`[${fill("{},[],").slice(0, -6)}]`, /more than 4096 lists, maps and entries/],
    [`[${"{},".repeat(2000)}{}]`, /entries, at most 128/],
    [`[${fill("{")}`, /more than 4096 lists, maps and entries/],
    [`[${"{".repeat(4000)}`, /not YAML or JSON/],
    [fill("- - "), /more than 4096 lists, maps and entries/],
    ...['"" ', "'' ", "&a ", "*a ", "| \n", "<<: ", "? "].map((piece): [string, RegExp] => [
      `- ${piece.repeat(4000)}`,
      /not YAML or JSON|more than 4096/,
    ]),
  ];
  for (const [text, message] of slow) {
    t.match(refusal(text).message, message);
    const least = Math.min(...Array.from({ length: 5 }, () => cpuOf(() => refusal(text))));
    t.ok(least < MOST_MICROSECONDS, `${text.slice(0, 20)}: ${least} µs`);
  }
  t.ok(Error.stackTraceLimit > 0, "errors of others have their traces");
  t.match(refusal("- {targetHost: 10.0.0.5, targetHost: 10.0.0.6, targetPort: 1}").message, /stands twice in one map/);
});

t.test("a random annotation never crashes the reader and is never read in part", async () => {
  const piece = fc.constantFrom(
    "a=",
    "10.0.0.5",
    ":",
    "1433",
    ",",
    "\n",
    "- ",
    "targetHost: ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "\0",
    "\t",
    '"',
    "'",
    "$(x)",
    "__proto__",
    "é",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join("")),
      ),
      (text) => {
        const read = readTargets(text);
        return read.kind === "reject"
          ? read.message.length > 0
          : read.targets.every(({ host, port }) => /^[a-z0-9.:-]+$/.test(host) && port >= 1 && port <= 65535);
      },
    ),
    { numRuns: 1000 },
  );
});

t.test("free names: the first number that is free, within the 63 characters of a label", async (t) => {
  t.equal(freeName("a", new Set()), "a");
  t.equal(freeName("a", new Set(["a", "a-2"])), "a-3");
  const long = `${"x".repeat(60)}-yz`;
  t.equal(freeName(long, new Set([long])), `${"x".repeat(60)}-2`);
  const taken = new Set([long, ...Array.from({ length: 12 }, (_, at) => `${"x".repeat(60)}-${at + 2}`)]);
  t.ok(freeName(long, taken).length <= 63);
});
