/** Work that a pod's author can multiply: done within the budget of one pod, or refused with a reason; never more. */
import t, { type Test } from "tap";
import { readPodHosts } from "../../../src/core/env/reading.ts";
import { redirectEnv } from "../../../src/core/env/redirect.ts";
import type { Container, EnvVar, Pod } from "../../../src/core/pod.ts";
import type { Assignment } from "../../../src/core/target.ts";
import { assignmentOf, targetOf } from "../../making.ts";

const assign = (name: string, host: string, hostEnv: readonly string[] = []): Assignment =>
  assignmentOf(targetOf(name, host, 1433, { hostEnv }), { host: `${name}.ns.svc` });
const three = ["10.0.0.5", "sql.corp.example.com", "fd00::5"].map((host, at) => assign(`t${at}`, host));
const many = (count: number): Assignment[] =>
  Array.from({ length: count }, (_, at) => assign(`t${at}`, `10.0.${at >> 8}.${at & 255}`));

const podWith = (...containers: readonly (readonly EnvVar[])[]): Pod => ({
  metadata: {},
  spec: { containers: containers.map((env, at): Container => ({ name: `c${at}`, env: [...env] })) },
});
const MIB = 1_048_576;
const fill = (piece: string, size: number): string => piece.repeat(Math.ceil(size / piece.length)).slice(0, size);
const list = <Item>(length: number, make: (at: number) => Item): Item[] => Array.from({ length }, (_, at) => make(at));

/** Ten times the goal, because the machine may be busy. */
const MOST_MS = 1500;

/** Reads and redirects within the time; true: it was done, false: refused because it is too much. */
const isDone = (t: Test, what: string, pod: Pod, assignments: readonly Assignment[] = three): boolean => {
  const start = process.cpuUsage();
  const targets = assignments.map(({ target }) => target);
  const answers = [readPodHosts(pod, targets), redirectEnv(pod, assignments)];
  const { user, system } = process.cpuUsage(start);
  t.ok((user + system) / 1000 < MOST_MS, `${what}: ${Math.round((user + system) / 1000)} ms`);
  const refused = answers.flatMap((answer) => (answer.kind === "reject" ? [answer.reason] : []));
  if (refused.some((reason) => reason !== "work-too-much")) t.fail(`${what}: ${refused.join()}`);
  return refused.length === 0;
};

const HOSTILE = [
  "10.0.0.5,", "a,", ",", "[", "]", ":", "::", "fd00::5,", "(", ")", "(HOST=", "(HOST=10.0.0.5)(PORT=1433)", "$(", "$(A)", "$$", "@", "://", "a://",
  "a://10.0.0.5,", "postgres://10.0.0.5,", "?host=10.0.0.5&", "=", ";", "a=b;", "Server=10.0.0.5;", "Server='", "''", '"', "host=10.0.0.5 ", "host='\\' ",
  "\\", " ", "\n", "tcp(", "tcp(10.0.0.5)", "jdbc:", "jdbc:oracle:thin:@10.0.0.5:1:", "jdbc:sqlserver://10.0.0.5;portNumber=1;", "ssl=true,", "10.0.0.5 ",
  "a://x?,b://", "%2F", "\\n", "/", "//", "password=", "jdbc:oracle:thin:@h,",
]; // prettier-ignore

t.test("every hostile value of 1 MiB, as one env or as many", (t) => {
  for (const piece of HOSTILE) {
    for (const start of ["", "mssql://"]) {
      const value = `${start}${fill(piece, MIB)}10.0.0.5:1433`;
      isDone(t, JSON.stringify(start + piece), podWith([{ name: "A", value }]));
    }
    const env = list(9, (at) => ({ name: `A${at}`, value: `${fill(piece, 16_000)}10.0.0.5:1433` }));
    isDone(t, `many of ${JSON.stringify(piece)}`, podWith(env));
  }
  t.end();
});

t.test("thousands of env: pairs of hosts and ports, references to one another, of one name", (t) => {
  const pairs = list(4000, (at) => [
    { name: `A${at}_HOST`, value: at < 500 ? "10.0.0.5" : "other" },
    { name: `A${at}_PORT`, value: "1433" },
  ]).flat();
  t.ok(isDone(t, "pairs", podWith(pairs)), "500 hosts are replaced");
  const chain = list(10_000, (at) => ({ name: `A${at}`, value: at === 0 ? "10.0.0.5" : `$(A${at - 1})` }));
  isDone(t, "chain", podWith(chain));
  const bomb = list(1000, (at) => ({
    name: `A${at}`,
    value: at === 0 ? fill("10.0.0.5,", 4000) : fill(`$(A${at - 1})`, 300),
  }));
  isDone(t, "bomb", podWith(bomb));
  isDone(t, "one name", podWith(list(8000, (at) => ({ name: "A", value: `10.0.0.5 ${at}` }))));
  const doubling = list(11, (at) => ({ name: `D${at}`, value: at === 0 ? "10.0.0.5," : `$(D${at - 1})$(D${at - 1})` }));
  const last = { name: "ALL", value: fill("$(D10)", 90) };
  isDone(t, "values that refer to each other", podWith([...doubling, last]));
  const bases = list(20_000, (at) => ({ name: `R${at}`, value: "$(BASE)" }));
  isDone(t, "20,000 references", podWith([{ name: "BASE", value: `${fill("x", 16_000)} 10.0.0.5` }, ...bases]));
  t.end();
});

t.test("containers, targets and named env multiply each other", (t) => {
  const empty = podWith(...list(200, () => []));
  t.notOk(isDone(t, "128 targets in 200 containers", empty, many(128)), "51,200 env are not added");
  const names = list(2400, (at) => `SOME_HOST_${at}`);
  const named = list(75, (at) => assign(`t${at}`, `10.1.0.${at}`, names.slice(at * 32, at * 32 + 32)));
  t.notOk(isDone(t, "2,400 named env in 200 containers", empty, named), "480,000 env are not added");
  const wrong = podWith(...list(500, () => [{ name: "DB_HOST", value: "10.0.0.5:1434" }]));
  isDone(t, "a wrong port in 500 containers", wrong);
  const tiny = list(25_000, (at) => ({ name: `N${at}`, value: "1.5" }));
  t.ok(isDone(t, "0.67 MB of tiny env", podWith(tiny)));
  isDone(t, "tiny env and 128 targets", podWith(tiny), many(128));
  const unmatched = podWith(list(4000, (at) => ({ name: `U${at}`, value: `x$(T${at % 128}_HOST)10.` })));
  isDone(t, "128 targets that no env leads to", unmatched, many(128));
  isDone(
    t,
    "NO_PROXY",
    podWith(...list(60, () => [{ name: "NO_PROXY", value: fill("10.0.0.0/8,", 16_000) }])),
    many(128),
  );
  t.end();
});

t.test("a value that is too long for a reader is looked at word by word", (t) => {
  const env = [
    { name: "FILE", value: `mssql://10.0.0.5:1433/${fill("x", 20_000)} 10.0.0.5` },
    { name: "OTHER", value: fill("x", 20_000) },
    { name: "COPY", value: `$(FILE)` },
    { name: "SECRET", value: fill("10.0.0.5 ", 20_000), valueFrom: {} },
  ];
  const result = redirectEnv(podWith(env), three);
  if (result.kind === "reject") throw new Error(result.message);
  t.match(result.operations[0], { value: /^mssql:\/\/t0.ns.svc:1433\/x+ t0.ns.svc$/ });
  t.strictSame(result.unread, ["c0/FILE"]);
  t.end();
});
