import "../../seed.ts";
import t from "tap";
import fc from "fast-check";
import { allocate, type Given, givenAlready, withStaticForwards } from "../../../src/core/forwards/allocate.ts";
import { readTable, writeTable } from "../../../src/core/forwards/format.ts";
import { emptyTable, type Table } from "../../../src/core/forwards/table.ts";
import { reject, type Rejection } from "../../../src/core/reasons.ts";
import type { Want } from "../../../src/core/target.ts";
import { configOf, gatewayOf as firstGateway, wantOf } from "../../making.ts";

const gatewayOf = (yaml: string) => firstGateway(configOf(`gateways: [${yaml}]`));
const all = (): boolean => true;
const gateway = gatewayOf("{tunnels: [{name: wg0, secretName: a}], maxForwards: 20}");
const want = (name: string, host: string, port: number, more: Partial<Want> = {}): Want =>
  wantOf(name, host, port, more);
const needs = { needsService: true };
const given = (table: Table, wants: readonly Want[], from = gateway) => {
  const { table: next, results } = allocate(table, from, [{ wants }]);
  const [result] = results;
  if (result?.kind !== "given") throw new Error(result?.message);
  return { table: next, given: result.given, forwards: result.given.map(({ forward }) => forward) };
};
const refusal = (table: Table, wants: readonly Want[], from = gateway) => allocate(table, from, [{ wants }]).results[0];
const SERVICE = "flowgen-wireguard-gateway-10-0-0-6-";

t.test("the documented example: the gateway's own Service, on the targets' own ports", async (t) => {
  const { table } = given(emptyTable, [want("mssql", "10.0.0.5", 1433), want("postgres", "10.0.0.6", 5432)]);
  t.strictSame(table, {
    forwards: [
      { name: "mssql", tunnel: "wg0", targetHost: "10.0.0.5", targetPort: 1433, listenPort: 1433, servicePort: 1433 },
      {
        name: "postgres",
        tunnel: "wg0",
        targetHost: "10.0.0.6",
        targetPort: 5432,
        listenPort: 5432,
        servicePort: 5432,
      },
    ],
    services: [],
  });
  t.equal(writeTable(table, all).forwards, "1433 10.0.0.5 1433 wg0\n5432 10.0.0.6 5432 wg0\n");
});

t.test(
  "two servers on one port: the second has a Service of its own, on its own port, and all of its ports there",
  async (t) => {
    const { table, given: pairs } = given(emptyTable, [want("a", "10.0.0.5", 1433), want("b", "10.0.0.6", 1433)]);
    t.match(table.forwards, [{ servicePort: 1433 }, { listenPort: 1434 }]);
    t.notOk("servicePort" in (table.forwards[1] ?? {}));
    t.match(table.services, [{ tunnel: "wg0", host: "10.0.0.6", clusterIPs: { length: 0 } }]);
    t.ok(table.services[0]?.name.startsWith(SERVICE));
    t.match(pairs, [{ service: undefined }, { service: { host: "10.0.0.6" } }]);
    const more = given(table, [want("b-pg", "10.0.0.6", 5432)]);
    t.match(
      more.given,
      [{ service: { host: "10.0.0.6" }, forward: { servicePort: 5432 } }],
      "this target is at the host's Service, too",
    );
    t.equal(more.table.services.length, 1);
  },
);

t.test("a host gets its Service for all of its targets in a pod as soon as one needs it", async (t) => {
  const wants = [want("a", "10.0.0.6", 1433), want("b", "10.0.0.6", 5432, needs), want("c", "10.0.0.7", 80)];
  const { given: pairs } = given(emptyTable, wants);
  t.match(pairs, [{ service: { host: "10.0.0.6" } }, { service: { host: "10.0.0.6" } }, { service: undefined }]);
  const other = want("d", "10.0.0.6", 1433, { tunnel: "wg1", needsService: true });
  const both = given(emptyTable, [want("a", "10.0.0.6", 1433, needs), other]);
  t.equal(new Set(both.table.services.map(({ name }) => name)).size, 2, "one address in two tunnels is two hosts");
});

t.test("pods are served on their targets' own ports in any order of admission", async (t) => {
  const pods = [want("a", "10.0.0.5", 1433), want("b", "10.0.0.6", 1433), want("c", "10.0.0.7", 1433, needs)];
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 0, 2],
  ]) {
    const claims = order.map((at) => ({ wants: [pods[at] as Want] }));
    t.ok(allocate(emptyTable, gateway, claims).results.every(({ kind }) => kind === "given"));
  }
});

t.test(
  "a forward of an earlier version keeps its port of the gateway's Service; new pods get the target's own port",
  async (t) => {
    const before: Table = {
      ...emptyTable,
      forwards: [
        { name: "b", tunnel: "wg0", targetHost: "10.0.0.6", targetPort: 1433, listenPort: 1434, servicePort: 1434 },
      ],
    };
    const { table, given: pairs } = given(before, [want("b", "10.0.0.6", 1433)]);
    t.strictSame(table.forwards, before.forwards);
    t.match(pairs, [{ service: { host: "10.0.0.6" } }]);
  },
);

t.test("the number of Services is bounded; a pod that needs one more is refused with the fix", async (t) => {
  const small = gatewayOf("{tunnels: [{name: wg0, secretName: a}], maxServices: 1}");
  const { table } = given(emptyTable, [want("a", "10.0.0.5", 1433, needs)], small);
  t.match(refusal(table, [want("b", "10.0.0.6", 1433)], small), {
    reason: "no-service-left",
    message: /b: 10\.0\.0\.6:1433 needs a Service .*1 of at most 1.*raise maxServices/,
  });
  t.equal(given(table, [want("a", "10.0.0.5", 1433, needs)], small).table, table, "a host that has one keeps it");
});

t.test("names of hosts' Services are labels of at most 63 characters that begin with the gateway's name", async (t) => {
  const long = gatewayOf(`{name: ${"g".repeat(54)}, tunnels: [{name: wg0, secretName: a}]}`);
  for (const [from, host] of [
    [gateway, "fd00::5"],
    [gateway, `${"a".repeat(60)}.corp.example.com`],
    [long, "10.0.0.5"],
  ] as const) {
    const [service] = given(emptyTable, [want("a", host, 1433, needs)], from).table.services;
    t.match(service?.name, new RegExp(`^${from.name}-([a-z0-9-]*[a-z0-9]-)?[0-9a-f]{8}$`));
    t.ok((service?.name.length ?? 64) <= 63);
  }
});

t.test("the same target has the same forward under any name", async (t) => {
  const { table } = given(emptyTable, [want("mssql", "10.0.0.5", 1433)]);
  const again = given(table, [want("erp", "10.0.0.5", 1433)]);
  t.equal(again.table, table, "nothing changed");
  t.match(again.forwards, [{ name: "mssql" }]);
  t.match(given(table, [want("mssql", "10.0.0.9", 1433)]).forwards, [{ name: "mssql-2", listenPort: 1434 }]);
  t.match(given(table, [want("mssql", "10.0.0.5", 1433, { tunnel: "wg1" })]).forwards, [
    { name: "mssql-2", tunnel: "wg1" },
  ]);
  const long = "a".repeat(63);
  const two = given(emptyTable, [want(long, "10.0.0.5", 1), want(long, "10.0.0.6", 1), want(long, "10.0.0.7", 1)]);
  t.strictSame(
    two.forwards.map(({ name }) => name),
    [long, `${"a".repeat(61)}-2`, `${"a".repeat(61)}-3`],
  );
});

t.test("low ports listen above 1024; the ends of the range wrap", async (t) => {
  t.match(given(emptyTable, [want("web", "10.0.0.5", 443), want("web2", "10.0.0.6", 443)]).forwards, [
    { servicePort: 443, listenPort: 1024 },
    { listenPort: 1025 },
  ]);
  t.match(given(emptyTable, [want("a", "10.0.0.5", 65535), want("b", "10.0.0.6", 65535)]).forwards, [
    { listenPort: 1024 }, // 65535 is where the pod says that it is ready, and where its siblings ask
    { listenPort: 1025 },
  ]);
  const wide = given(emptyTable, [want("a", "10.0.0.5", 65535), want("b", "10.0.0.6", 65534)]);
  t.strictSame(
    wide.forwards.map(({ servicePort }) => servicePort),
    [undefined, 65534],
    "at its host's own Service",
  );
  t.match(wide.table.services, [{ host: "10.0.0.5" }]);
});

t.test("pods one after another: one that is refused changes nothing for the others", async (t) => {
  const [first] = given(emptyTable, [want("a", "10.0.0.5", 1433)]).forwards;
  if (first === undefined) throw new Error("no forward");
  const marked = { ...emptyTable, forwards: [{ ...first, unusedSince: "2026-01-01T00:00:00Z" }] };
  const seen: string[] = [];
  const objection = (pairs: readonly Given[]): Rejection => {
    seen.push(...pairs.map(({ forward, service }) => `${forward.name} ${service?.host ?? ""}`));
    return reject("srv-url", "x");
  };
  const refused = { wants: [want("a", "10.0.0.5", 1433), want("b", "10.0.0.6", 1433)], objection };
  const { table, results } = allocate(marked, gateway, [refused, { wants: [want("b", "10.0.0.8", 80)] }]);
  t.strictSame(seen, ["a ", "b 10.0.0.6"]);
  t.match(results, [{ reason: "srv-url" }, { given: [{ forward: { name: "b", servicePort: 80 } }] }]);
  t.match(table.forwards, [{ unusedSince: "2026-01-01T00:00:00Z" }, { name: "b", listenPort: 1024 }]);
  t.strictSame([table.forwards.length, table.services.length], [2, 0]);
  t.equal(allocate(marked, gateway, [refused]).table, marked, "nothing changed");
});

t.test("a table that its ConfigMap has no room for refuses the pod that would overflow it, and no other", async (t) => {
  const wide = { ...gateway, maxForwards: 3000 };
  const host = (at: number): string => `h${at}.${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.example.com`;
  const claims = Array.from({ length: 2000 }, (_, at) => ({ wants: [want("x", host(at), 1 + at)] }));
  const { table, results } = allocate(emptyTable, wide, claims);
  const served = results.filter(({ kind }) => kind === "given").length;
  t.ok(served > 1000 && served < 2000, String(served));
  t.equal(table.forwards.length, served);
  t.match(results.at(-1), {
    reason: "gateway-full",
    message: /the ConfigMap of flowgen-wireguard-gateway's forward table/,
  });
  const written = writeTable(table, all);
  t.ok(written["table.json"].length + written.forwards.length < 1024 * 1024);
  t.match(allocate(table, wide, claims.slice(0, 1)).results, [{ kind: "given" }], "a forward that exists is kept");
});

t.test("all or nothing when the gateway is full", async (t) => {
  const small = gatewayOf("{tunnels: [{name: wg0, secretName: a}], maxForwards: 1}");
  t.match(refusal(emptyTable, [want("a", "10.0.0.5", 1), want("b", "10.0.0.6", 1)], small), {
    reason: "gateway-full",
    message: /holds 1 forwards of at most 1/,
  });
  const all = {
    ...emptyTable,
    forwards: Array.from({ length: 64511 }, (_, i) => ({
      name: `n${i}`,
      tunnel: "wg0",
      targetHost: "10.0.0.1",
      targetPort: 1 + i,
      listenPort: i + 1024,
      servicePort: i + 1024,
    })),
  };
  t.match(refusal(all, [want("x", "10.0.0.5", 2000)], { ...gateway, maxForwards: 70_000 }), {
    reason: "gateway-full",
    message: /no port is free/,
  });
});

t.test("an admission removes the mark of an unused forward", async (t) => {
  const { table } = given(emptyTable, [want("mssql", "10.0.0.5", 1433)]);
  const marked = {
    ...emptyTable,
    forwards: table.forwards.map((item) => ({ ...item, unusedSince: "2026-01-01T00:00:00Z" })),
  };
  t.equal(givenAlready(marked, gateway, [want("mssql", "10.0.0.5", 1433)]), undefined);
  const again = given(marked, [want("mssql", "10.0.0.5", 1433)]);
  t.not(again.table, marked);
  t.strictSame(again.table, table);
});

t.test("forwards in the table are found without a change, once a host's Service has its addresses", async (t) => {
  const wants = [want("a", "10.0.0.5", 1433), want("b", "10.0.0.6", 1433)];
  const { table } = given(emptyTable, wants);
  t.equal(givenAlready(table, gateway, wants), undefined, "no address yet");
  const services = table.services.map((item) => ({ ...item, clusterIPs: ["10.96.0.7"] }));
  t.match(givenAlready({ ...table, services }, gateway, wants), [
    { service: undefined },
    { service: { clusterIPs: ["10.96.0.7"] } },
  ]);
  t.equal(
    givenAlready({ ...table, services }, gateway, [want("a", "10.0.0.5", 1433, needs)]),
    undefined,
    "it needs a Service",
  );
  t.equal(givenAlready(table, gateway, [want("c", "10.0.0.7", 1433)]), undefined);
});

t.test("static forwards: the documented Service, listening ports and names", async (t) => {
  const chart = gatewayOf(`{tunnels: [{name: wg0, secretName: a, portForwards: [
    {name: mssql-a, port: 1433, targetHost: 10.0.0.5, targetPort: 1433},
    {name: mssql-b, port: 1434, targetHost: 10.0.0.6, targetPort: 1433, servicePort: 1434}]}]}`);
  const { table, omitted } = withStaticForwards(emptyTable, chart);
  t.match(table.forwards, [
    { name: "mssql-a", listenPort: 1433, servicePort: 1433, targetHost: "10.0.0.5" },
    { name: "mssql-b", listenPort: 1434, servicePort: 1434, targetHost: "10.0.0.6" },
  ]);
  t.strictSame(omitted, []);
  t.equal(withStaticForwards(table, chart).table, table, "a second time nothing changes");
  t.match(given(table, [want("x", "10.0.0.6", 1433)]).given, [
    { forward: { name: "mssql-b", servicePort: 1434 }, service: { host: "10.0.0.6" } },
  ]);
  const taken = given(emptyTable, [want("x", "10.9.9.9", 1433), want("y", "10.0.0.6", 1433)]).table;
  const late = withStaticForwards(taken, chart);
  t.strictSame(late.omitted, ["wg0/mssql-a: service port 1433 is taken"]);
  t.match(
    late.table.forwards,
    [{ name: "x" }, { name: "y", servicePort: 1434 }],
    "a port at the gateway's Service is added",
  );
  const elsewhere = given(emptyTable, [want("x", "10.0.0.6", 1433)]).table;
  t.strictSame(withStaticForwards(elsewhere, chart).omitted, [
    "wg0/mssql-a: service port 1433 is taken",
    "wg0/mssql-b: its target has the service port 1433 already",
  ]);
});

t.test("a static forward whose port alone changes stays, and a message says so", async (t) => {
  const at = (port: number, other = "") =>
    gatewayOf(`{tunnels: [{name: wg0, secretName: a, portForwards: [
    {name: sql, port: ${port}, targetHost: 10.0.0.5, targetPort: 1433, servicePort: 1433}${other}]}]}`);
  const { table } = withStaticForwards(emptyTable, at(1433));
  const moved = withStaticForwards(table, at(1500));
  t.equal(moved.table, table, "clients use the Service's port, which is the same");
  t.strictSame(moved.omitted, ["wg0/sql: the pod listens on 1433 already, and not on 1500"]);
  const second = ", {name: b, port: 1500, targetHost: 10.0.0.6, targetPort: 1433, servicePort: 1500}";
  const both = withStaticForwards(table, at(1433, second)).table;
  t.strictSame(withStaticForwards(both, at(1500)).omitted, [], "a port that another forward has is no change");
});

t.test("the table is read back as it was written, or refused with the reason", async (t) => {
  const { table } = given(emptyTable, [want("mssql", "10.0.0.5", 1433), want("v6", "fd00::5", 5432)]);
  t.strictSame(readTable(writeTable(table, all)["table.json"], "x"), { kind: "table", table });
  const forward = table.forwards[0];
  const bad: [string, RegExp][] = [
    ["", /x/],
    ["{}", /version/],
    [
      JSON.stringify({ version: 1, forwards: [{ ...forward, targetHost: "10.0.0.5,fork" }] }),
      /forwards\[0\]\.targetHost: not a canonical host/,
    ],
    [JSON.stringify({ version: 1, forwards: [{ ...forward, targetHost: "127.0.0.1" }] }), /private server/],
    [JSON.stringify({ version: 1, forwards: [{ ...forward, listenPort: 80 }] }), /listenPort: below 1024/],
    [
      JSON.stringify({ version: 1, forwards: [forward, { ...forward, name: "b", listenPort: 2000, servicePort: 2 }] }),
      /share a target/,
    ],
    [JSON.stringify({ version: 1, forwards: [{ ...forward, tunnel: "wg0 x" }] }), /tunnel/],
    [
      JSON.stringify({ version: 1, forwards: [forward, { ...forward, name: "b", servicePort: 2 }] }),
      /share a listenPort/,
    ],
    [
      JSON.stringify({ version: 1, forwards: [forward, { ...forward, name: "b", listenPort: 2000 }] }),
      /share a servicePort/,
    ],
    [
      JSON.stringify({ version: 1, forwards: [forward, { ...forward, listenPort: 2000, servicePort: 2 }] }),
      /share a name/,
    ],
  ];
  for (const [json, message] of bad) t.match(readTable(json, "x"), { reason: "table-invalid", message });
});

t.test("format 2 is read and written again with every field; a newer one is left to a newer version", async (t) => {
  const { table } = given(emptyTable, [want("mssql", "10.0.0.5", 1433)]);
  t.match(writeTable(table, all)["table.json"], /^{"version":1,/, "the format before, while it holds all of the table");
  const [forward] = table.forwards;
  const { servicePort: _, ...hidden } = { ...forward, name: "b", targetHost: "10.0.0.6", listenPort: 1434 };
  const services = [{ name: "gw-b-0", tunnel: "wg0", host: "10.0.0.6", clusterIPs: ["10.96.0.7", "fd00::7"], more: 1 }];
  const document = {
    version: 2,
    forwards: [{ ...forward, namespaces: ["team-a"], more: [] }, hidden],
    services,
    more: {},
  };
  const read = readTable(JSON.stringify(document), "x");
  if (read.kind !== "table") throw new Error(JSON.stringify(read));
  t.strictSame(JSON.parse(writeTable(read.table, all)["table.json"]), document);
  t.equal(writeTable(read.table, all).forwards, "1433 10.0.0.5 1433 wg0\n1434 10.0.0.6 1433 wg0\n");
  t.match(readTable(JSON.stringify({ version: 3, forwards: "unknown" }), "x"), {
    kind: "fail",
    reason: "format-newer",
    detail: "x has format 3, this version reads up to 2",
  });
  const wrong = (changes: object, message: RegExp): unknown =>
    t.match(readTable(JSON.stringify({ ...document, ...changes }), "x"), { reason: "table-invalid", message });
  wrong({ version: 1 }, /forwards\[1\]\.servicePort: is missing/);
  wrong({ services: [] }, /forwards\[1\]\.servicePort: is missing, and the host has no Service of its own/);
  wrong({ services: [...services, { ...services[0], tunnel: "wg1" }] }, /two services share a name/);
  wrong({ services: [...services, { ...services[0], name: "gw-c" }] }, /two services share a host/);
  wrong({ services: [{ ...services[0], clusterIPs: ["None"] }] }, /services\[0\]\.clusterIPs\[0\]: not an IP address/);
});

t.test("any sequence of pods keeps the table's invariants", async () => {
  const wants = fc.array(
    fc.record({
      host: fc.constantFrom("10.0.0.5", "10.0.0.6", "10.0.0.7", "fd00::5"),
      port: fc.constantFrom(80, 1433, 1434, 65535),
      name: fc.constantFrom("a", "b"),
      tunnel: fc.constantFrom("wg0", "wg1"),
      needsService: fc.boolean(),
    }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(fc.array(wants, { maxLength: 8 }), (pods) => {
      let table = emptyTable;
      for (const pod of pods) {
        const asked = pod.map(({ name, host, port, ...more }) => want(name, host, port, more));
        const { table: next, results } = allocate(table, gateway, [{ wants: asked }]);
        const kept = (before: readonly unknown[], after: readonly unknown[]): boolean =>
          before.every((item) => after.some((other) => JSON.stringify(other) === JSON.stringify(item)));
        if (!kept(table.forwards, next.forwards) || !kept(table.services, next.services)) return false;
        table = next;
        for (const result of results) {
          if (result.kind === "reject") continue;
          const isOnOwnPort = result.given.every(
            ({ want, forward, service }) =>
              service !== undefined || (!want.needsService && forward.servicePort === want.target.port),
          );
          if (!isOnOwnPort) return false;
        }
      }
      return readTable(writeTable(table, all)["table.json"], "x").kind === "table";
    }),
    { numRuns: 300 },
  );
});
