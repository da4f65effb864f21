import t from "tap";
import type { EnvVar, Pod } from "../../../src/core/pod.ts";
import { type Redirection, redirectEnv } from "../../../src/core/env/redirect.ts";
import type { Assignment } from "../../../src/core/target.ts";

const assignments: Assignment[] = ["10.0.0.5", "sql.corp.example.com", "fd00::5"].map((host, at) => ({
  target: { name: `t${at}`, host, port: 1433, servicePort: 1434 + at, hostEnv: [], portEnv: [] },
  forward: `t${at}`,
  host: "gw.ns.svc",
  port: 1434 + at,
}));
const redirect = (env: EnvVar[]): Redirection => {
  const pod: Pod = { metadata: {}, spec: { containers: [{ name: "flowgen", env }] } };
  const result = redirectEnv(pod, assignments, []);
  if (result.kind === "reject") throw new Error(result.message);
  return result;
};
const MIB = 1_048_576;
const fill = (piece: string, size: number): string => piece.repeat(Math.ceil(size / piece.length)).slice(0, size);

const HOSTILE = [
  "10.0.0.5,", "a,", ",", "[", "]", ":", "::", "fd00::5,", "(", ")", "(HOST=", "(HOST=10.0.0.5)(PORT=1433)", "$(", "$(A)", "$$", "@", "://", "a://",
  "a://10.0.0.5,", "postgres://10.0.0.5,", "?host=10.0.0.5&", "=", ";", "a=b;", "Server=10.0.0.5;", "Server='", "''", '"', "host=10.0.0.5 ", "host='\\' ",
  "\\", " ", "\n", "tcp(", "tcp(10.0.0.5)", "jdbc:", "jdbc:oracle:thin:@10.0.0.5:1:", "jdbc:sqlserver://10.0.0.5;portNumber=1;", "ssl=true,", "10.0.0.5 ",
]; // prettier-ignore

// What is not linear here would not end before the runner's time limit.
t.test("every hostile value of 1 MiB is done with, as one env or as many", (t) => {
  for (const piece of HOSTILE) {
    for (const start of ["", "mssql://"]) {
      t.ok(redirect([{ name: "A", value: `${start}${fill(piece, MIB)}10.0.0.5:1433` }]), JSON.stringify(start + piece));
    }
    const many = Array.from({ length: 9 }, (_, at) => ({
      name: `A${at}`,
      value: `${fill(piece, 16_000)}10.0.0.5:1433`,
    }));
    t.ok(redirect(many), `many of ${JSON.stringify(piece)}`);
  }
  t.end();
});

t.test("and so are thousands of env, pairs of hosts and ports, or references to one another", (t) => {
  const count = 10_000;
  const pairs = Array.from({ length: count }, (_, at) => [
    { name: `A${at}_HOST`, value: "10.0.0.5" },
    { name: `A${at}_PORT`, value: "1433" },
  ]).flat();
  const chain = Array.from({ length: count }, (_, at) => ({
    name: `A${at}`,
    value: at === 0 ? "10.0.0.5" : `$(A${at - 1})`,
  }));
  const bomb = Array.from({ length: 1000 }, (_, at) => ({
    name: `A${at}`,
    value: at === 0 ? fill("10.0.0.5,", 4000) : fill(`$(A${at - 1})`, 300),
  }));
  for (const [name, env] of Object.entries({ pairs, chain, bomb })) {
    t.ok(redirect(env), name);
  }
  t.end();
});

t.test("a value that is too long to be an address is not read; a warning names it if it holds a target", (t) => {
  const env = [
    { name: "FILE", value: `mssql://10.0.0.5:1433/${fill("x", 20_000)}` },
    { name: "OTHER", value: fill("x", 20_000) },
    { name: "COPY", value: "$(FILE)" },
    { name: "SECRET", value: fill("10.0.0.5 ", 20_000), valueFrom: {} },
    { name: "DB", value: "10.0.0.5:1433" },
  ];
  const { changed, warnings } = redirect(env);
  t.strictSame(
    changed.filter(({ change }) => change === "set"),
    [{ container: "flowgen", env: "DB", change: "set" }],
  );
  t.ok(warnings.includes("FILE: not read, because it or the env before it are too long"));
  t.notMatch(warnings, ["OTHER", "SECRET: not read"]);
  t.end();
});
