import "../../seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import type { EnvVar, Pod } from "../../../src/core/pod.ts";
import { readPodHosts } from "../../../src/core/env/reading.ts";
import { redirectEnv } from "../../../src/core/env/redirect.ts";
import type { Assignment } from "../../../src/core/target.ts";
import { patched, targetOf } from "../../making.ts";
import { assign } from "./table.ts";

const HOSTS = ["10.0.0.5", "10.0.0.6", "sql.corp.example.com", "fd00::5"];
const NAMES = [
  "A_HOST",
  "A_SERVER",
  "A_PORT",
  "B_HOST",
  "B_PORT",
  "URL",
  "T0_HOST",
  "T0_PORT",
  "NO_PROXY",
  "PGHOSTADDR",
];
const PIECES = [
  ...HOSTS, "[fd00::5]", "gw.ns.svc", "old.ns.svc", "SQL.Corp.example.com.", "other.example.com", "10.0.0.50", ":1433", ":1434", ":5432", ",1433", "1433",
  "1434", "mssql://", "postgres://", "nats://", "mongodb+srv://", "custom://", "jdbc:sqlserver://", "jdbc:oracle:thin:@", "u:p@", "/db", "?host=",
  "&port=", ";", ",", " ", ":", "@", "\\inst", "Server=", ";Port=", "Host=", ";portNumber=1433", "host=", " port=", "'", '"', "tcp:", "tcp(", ")",
  "(HOST=", "(PORT=1433)", "$(A_HOST)", "$(A_PORT)", "$(B_HOST)", "$(URL)", "$(T0_HOST)", "$$(A_HOST)", "$(", "ssl=true", "=",
]; // prettier-ignore

const value = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.constantFrom(...PIECES), { maxLength: 7 }).map((pieces) => pieces.join("")) },
  { weight: 2, arbitrary: fc.constantFrom(...HOSTS, "1433", "1434", "gw.ns.svc") },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
);
const entry: fc.Arbitrary<EnvVar> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ name: fc.constantFrom(...NAMES), value }) },
  {
    weight: 1,
    arbitrary: fc.record({ name: fc.constantFrom(...NAMES), valueFrom: fc.constant({ secretKeyRef: {} }) }),
  },
);
const env = fc.array(entry, { maxLength: 6 });
const pod: fc.Arbitrary<Pod> = fc.record({ env, init: env }).map(({ env, init }) => ({
  metadata: {},
  spec: { containers: [{ name: "flowgen", env }], initContainers: [{ name: "init", env: init }] },
}));
const names = fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, fc.constantFrom(["A_HOST"], ["A_PORT"], ["B_HOST"]));
/** Targets that differ, at one Service or at Services of their hosts' own. */
const assignments: fc.Arbitrary<readonly Assignment[]> = fc
  .record({
    targets: fc.uniqueArray(
      fc.record({
        host: fc.constantFrom(...HOSTS),
        port: fc.constantFrom(1433, 1434, 5432),
        hostEnv: names,
        portEnv: names,
      }),
      { minLength: 1, maxLength: 3, selector: ({ host, port }) => `${host} ${port}` },
    ),
    own: fc.subarray(HOSTS),
    former: fc.boolean(),
  })
  .map(({ targets, own, former }) =>
    assign(
      targets.map(({ host, port, hostEnv, portEnv }, at) => targetOf(`t${at}`, host, port, { hostEnv, portEnv })),
      new Set(own),
    ).map((each) => ({ ...each, addresses: former ? [`old.ns.svc:${each.port}`] : [] })),
  );

const containersOf = ({ spec }: Pod) => [...spec.containers, ...(spec.initContainers ?? [])];
/** Throws, where tap would record a failure for every step of fast-check's shrinking. */
const same = (found: unknown, wanted: unknown): void => {
  assert.deepStrictEqual(found, wanted);
};
const runs = { numRuns: Number(process.env["RUNS"] ?? 700) };

t.test("the patch gives a pod that a second run leaves alone", (t) => {
  t.comment(`seed ${fc.readConfigureGlobal().seed}`);
  fc.assert(
    fc.property(pod, assignments, (pod, assignments) => {
      const first = redirectEnv(pod, assignments);
      if (first.kind === "reject") return;
      const after = patched(pod, first.operations);
      const second = redirectEnv(after, assignments);
      if (second.kind === "reject") throw new Error(second.message);
      same([second.operations, second.changed, second.env, second.unread], [[], [], first.env, first.unread]);
    }),
    runs,
  );
  t.end();
});
t.test("a redirect by what the plan read is the same as one that reads the pod itself", (t) => {
  fc.assert(
    fc.property(pod, assignments, (pod, assignments) => {
      const hosts = readPodHosts(
        pod,
        assignments.map(({ target }) => target),
      );
      if (hosts.kind === "reject") return;
      same(redirectEnv(pod, assignments, hosts.readings), redirectEnv(pod, assignments));
    }),
    runs,
  );
  t.end();
});
t.test("only env that are said to change do, and each that does holds the gateway or a port of it", (t) => {
  fc.assert(
    fc.property(pod, assignments, (pod, assignments) => {
      const result = redirectEnv(pod, assignments);
      if (result.kind === "reject") return;
      const after = containersOf(patched(pod, result.operations));
      for (const [at, { name, env }] of containersOf(pod).entries()) {
        const said = new Set(result.changed.filter((each) => each.container === name).map((each) => each.env));
        const rest = (list: Pod["spec"]["containers"][number]["env"]) =>
          (list ?? []).filter((each) => !said.has(each.name));
        same(JSON.stringify(rest(after[at]?.env)), JSON.stringify(rest(env)));
      }
    }),
    runs,
  );
  t.end();
});

t.test("a string that holds no target is never changed", (t) => {
  const stranger = value.filter((text) => ![...HOSTS, "ns.svc"].some((host) => text.toLowerCase().includes(host)));
  fc.assert(
    fc.property(fc.array(stranger, { maxLength: 6 }), assignments, (values, assignments) => {
      const env = values.map((value, at) => ({ name: `E${at}`, value: value.replaceAll("$(", "") }));
      const result = redirectEnv({ metadata: {}, spec: { containers: [{ name: "c", env }] } }, assignments);
      if (result.kind === "reject") throw new Error(result.message);
      const { changed } = result;
      same(
        changed.filter(({ change }) => change === "set"),
        [],
      );
    }),
    runs,
  );
  t.end();
});
