import "../../seed.ts";
import t from "tap";
import fc from "fast-check";
import { readConfig, type Gateway } from "../../../src/core/config/config.ts";
import { allocate, allocateAll, withStaticForwards } from "../../../src/core/forwards/allocate.ts";
import { emptyTable, readTable, type Table, writeTable } from "../../../src/core/forwards/table.ts";
import type { Want } from "../../../src/core/plan.ts";

const gatewayOf = (yaml: string): Gateway => {
  const read = readConfig(`gateways: [${yaml}]`);
  if (read.kind === "invalid") throw new Error(read.problems.join("\n"));
  return read.config.gateways[0] as Gateway;
};
const gateway = gatewayOf("{tunnels: [{name: wg0, secretName: a}], maxForwards: 20}");
const want = (name: string, host: string, port: number, servicePort?: number, tunnel = "wg0"): Want => ({
  tunnel,
  target: { name, host, port, hostEnv: [], portEnv: [], ...(servicePort !== undefined && { servicePort }) },
});
const allocated = (table: Table, wants: readonly Want[], from = gateway) => {
  const result = allocate(table, from, wants);
  if (result.kind === "reject") throw new Error(result.message);
  return { ...result, forwards: result.given.map(({ forward }) => forward) };
};

t.test("the documented example and the documented collision", async (t) => {
  const { table } = allocated(emptyTable, [want("mssql", "10.0.0.5", 1433), want("postgres", "10.0.0.6", 5432)]);
  t.strictSame(table.forwards, [
    { name: "mssql", tunnel: "wg0", targetHost: "10.0.0.5", targetPort: 1433, listenPort: 1433, servicePort: 1433 },
    { name: "postgres", tunnel: "wg0", targetHost: "10.0.0.6", targetPort: 5432, listenPort: 5432, servicePort: 5432 },
  ]);
  t.equal(writeTable(table).forwards, "1433 10.0.0.5 1433 wg0\n5432 10.0.0.6 5432 wg0\n");
  const collision = allocated(emptyTable, [want("mssql-a", "10.0.0.5", 1433), want("mssql-b", "10.0.0.6", 1433)]);
  t.match(collision.forwards, [
    { servicePort: 1433, listenPort: 1433 },
    { servicePort: 1434, listenPort: 1434 },
  ]);
});

t.test("the same target has the same forward, whatever it is called", async (t) => {
  const { table } = allocated(emptyTable, [want("mssql", "10.0.0.5", 1433)]);
  const again = allocated(table, [want("erp", "10.0.0.5", 1433)]);
  t.equal(again.table, table, "nothing changed");
  t.match(again.forwards, [{ name: "mssql" }]);
  t.match(allocated(table, [want("mssql", "10.0.0.9", 1433)]).forwards, [{ name: "mssql-2", servicePort: 1434 }]);
  t.match(allocated(table, [want("mssql", "10.0.0.5", 1433, undefined, "wg1")]).forwards, [
    { name: "mssql-2", tunnel: "wg1" },
  ]);
  const long = "a".repeat(63);
  const two = allocated(emptyTable, [want(long, "10.0.0.5", 1), want(long, "10.0.0.6", 1), want(long, "10.0.0.7", 1)]);
  t.strictSame(
    two.forwards.map(({ name }) => name),
    [long, `${"a".repeat(61)}-2`, `${"a".repeat(61)}-3`],
  );
});

t.test("low ports keep their service port and listen above 1024; the ends of the range wrap", async (t) => {
  t.match(allocated(emptyTable, [want("web", "10.0.0.5", 443), want("web2", "10.0.0.6", 443)]).forwards, [
    { servicePort: 443, listenPort: 1024 },
    { servicePort: 444, listenPort: 1025 },
  ]);
  t.match(allocated(emptyTable, [want("a", "10.0.0.5", 65535), want("b", "10.0.0.6", 65535)]).forwards, [
    { servicePort: 65535, listenPort: 1024 }, // 65535 is where the pod says that it is ready
    { servicePort: 1024, listenPort: 1025 },
  ]);
});

t.test("a fixed service port is had or refused", async (t) => {
  const { table } = allocated(emptyTable, [want("mssql", "10.0.0.5", 1433, 1500)]);
  t.match(table.forwards, [{ servicePort: 1500, listenPort: 1433 }]);
  t.equal(allocated(table, [want("mssql", "10.0.0.5", 1433, 1500)]).table, table);
  t.match(allocate(table, gateway, [want("x", "10.0.0.5", 1433, 1501)]), {
    reason: "service-port-taken",
    message: /has the service port 1500 already, not 1501/,
  });
  t.match(allocate(table, gateway, [want("x", "10.0.0.6", 1433, 1500)]), {
    reason: "service-port-taken",
    message: /x\.servicePort: 1500 leads to the target of mssql/,
  });
});

t.test("requests one after another: one that is refused changes nothing for the others", async (t) => {
  const [first] = allocated(emptyTable, [want("a", "10.0.0.5", 1433)]).forwards;
  if (first === undefined) throw new Error("no forward");
  const marked = { ...emptyTable, forwards: [{ ...first, unusedSince: "2026-01-01T00:00:00Z" }] };
  const refused = [want("a", "10.0.0.5", 1433), want("b", "10.0.0.6", 1433), want("c", "10.0.0.7", 1, 1433)];
  const { table, results } = allocateAll(marked, gateway, [refused, [want("b", "10.0.0.8", 1433)]]);
  t.match(results, [
    { reason: "service-port-taken" },
    { given: [{ forward: { name: "b", servicePort: 1434, targetHost: "10.0.0.8" } }] },
  ]);
  t.match(table.forwards, [{ unusedSince: "2026-01-01T00:00:00Z" }, { name: "b", listenPort: 1434 }]);
  t.equal(table.forwards.length, 2);
  t.equal(allocateAll(marked, gateway, [refused]).table, marked, "nothing changed");
});

t.test("a table that its ConfigMap has no room for refuses who would overflow it, and nobody else", async (t) => {
  const wide = { ...gateway, maxForwards: 3000 };
  const host = (at: number): string => `h${at}.${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.example.com`;
  const wants = Array.from({ length: 2000 }, (_, at) => [want("x", host(at), 1)]);
  const { table, results } = allocateAll(emptyTable, wide, wants);
  const given = results.filter(({ kind }) => kind === "given").length;
  t.ok(given > 1000 && given < 2000, String(given));
  t.equal(table.forwards.length, given);
  t.match(results.at(-1), {
    reason: "gateway-full",
    message: /the ConfigMap of flowgen-wireguard-gateway's forward table/,
  });
  const written = writeTable(table);
  t.ok(written["table.json"].length + written.forwards.length < 1024 * 1024);
  t.match(allocateAll(table, wide, [wants[0] ?? []]).results, [{ kind: "given" }], "who has a forward keeps it");
});

t.test("all or nothing when the gateway is full", async (t) => {
  const small = gatewayOf("{tunnels: [{name: wg0, secretName: a}], maxForwards: 1}");
  t.match(allocate(emptyTable, small, [want("a", "10.0.0.5", 1), want("b", "10.0.0.6", 1)]), {
    reason: "gateway-full",
    message: /holds 1 forwards of at most 1/,
  });
  const all = {
    ...emptyTable,
    forwards: Array.from({ length: 64512 }, (_, i) => ({
      name: `n${i}`,
      tunnel: "wg0",
      targetHost: "10.0.0.1",
      targetPort: 1,
      listenPort: i + 1024,
      servicePort: i + 1024,
    })),
  };
  t.match(allocate(all, { ...gateway, maxForwards: 70_000 }, [want("x", "10.0.0.5", 2000)]), {
    reason: "gateway-full",
    message: /no port is free/,
  });
});

t.test("an admission removes the sweep's mark", async (t) => {
  const { table } = allocated(emptyTable, [want("mssql", "10.0.0.5", 1433)]);
  const marked = {
    ...emptyTable,
    forwards: table.forwards.map((item) => ({ ...item, unusedSince: "2026-01-01T00:00:00Z" })),
  };
  const again = allocated(marked, [want("mssql", "10.0.0.5", 1433)]);
  t.not(again.table, marked);
  t.strictSame(again.table, table);
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
  t.equal(withStaticForwards(table, chart).table, table, "once there, nothing changes");
  const taken = allocated(emptyTable, [want("x", "10.9.9.9", 1433)]).table;
  const late = withStaticForwards(taken, chart);
  t.strictSame(late.omitted, ["wg0/mssql-a: service port 1433 is taken"]);
  t.match(late.table.forwards, [{ name: "x" }, { name: "mssql-b" }]);
  const elsewhere = allocated(emptyTable, [want("x", "10.0.0.6", 1433)]).table;
  t.strictSame(withStaticForwards(elsewhere, chart).omitted, [
    "wg0/mssql-a: service port 1433 is taken",
    "wg0/mssql-b: its target has the service port 1433 already",
  ]);
});

t.test("the table is read back as it was written, or refused with the reason", async (t) => {
  const { table } = allocated(emptyTable, [want("mssql", "10.0.0.5", 1433), want("v6", "fd00::5", 5432)]);
  t.strictSame(readTable(writeTable(table)["table.json"], "x"), { kind: "table", table });
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
  const { table } = allocated(emptyTable, [want("mssql", "10.0.0.5", 1433)]);
  t.match(writeTable(table)["table.json"], /^{"version":1,/, "the format before, while it holds all of the table");
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
  t.strictSame(JSON.parse(writeTable(read.table)["table.json"]), document);
  t.equal(writeTable(read.table).forwards, "1433 10.0.0.5 1433 wg0\n1434 10.0.0.6 1433 wg0\n");
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

t.test("any sequence of requests keeps the table's invariants", async () => {
  const wants = fc.array(
    fc.record({
      host: fc.constantFrom("10.0.0.5", "10.0.0.6", "10.0.0.7", "fd00::5"),
      port: fc.constantFrom(80, 1433, 1434, 65535),
      servicePort: fc.option(fc.constantFrom(80, 1433, 1434), { nil: undefined }),
      name: fc.constantFrom("a", "b"),
      tunnel: fc.constantFrom("wg0", "wg1"),
    }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(fc.array(wants, { maxLength: 8 }), (rounds) => {
      let table = emptyTable;
      for (const round of rounds) {
        const result = allocate(
          table,
          gateway,
          round.map((item) => want(item.name, item.host, item.port, item.servicePort, item.tunnel)),
        );
        if (result.kind === "reject") continue;
        for (const before of table.forwards) {
          if (!result.table.forwards.some((after) => JSON.stringify(after) === JSON.stringify(before))) return false;
        }
        table = result.table;
        const isUnique = (key: (forward: Table["forwards"][number]) => unknown) =>
          new Set(table.forwards.map(key)).size === table.forwards.length;
        if (
          !isUnique((item) => item.listenPort) ||
          !isUnique((item) => item.servicePort) ||
          !isUnique((item) => item.name)
        )
          return false;
        if (!isUnique((item) => `${item.tunnel} ${item.targetHost} ${item.targetPort}`)) return false;
        if (table.forwards.some((item) => item.listenPort < 1024)) return false;
      }
      return readTable(writeTable(table)["table.json"], "x").kind === "table";
    }),
    { numRuns: 300 },
  );
});
