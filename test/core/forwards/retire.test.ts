import t from "tap";
import { retire, SETTLE_MS, withoutServices } from "../../../src/core/forwards/retire.ts";
import { allocate } from "../../../src/core/forwards/allocate.ts";
import { readTable, writeTable } from "../../../src/core/forwards/format.ts";
import type { Forward, HostService, Table } from "../../../src/core/forwards/table.ts";
import { configOf, gatewayOf, wantOf } from "../../making.ts";

const NOW = Date.parse("2026-01-02T12:00:00Z");
const ago = (ms: number): string => new Date(NOW - ms).toISOString();
const forward = (name: string, host: string, port: number, more: Partial<Forward> = {}): Forward => ({
  ...{ name, tunnel: "wg0", targetHost: host, targetPort: port, listenPort: port + 2000, servicePort: port },
  ...more,
});
const service = (host: string, more: Partial<HostService> = {}): HostService => ({
  ...{ name: `gw-${host.replaceAll(".", "-")}`, tunnel: "wg0", host, clusterIPs: ["10.96.0.7"] },
  ...more,
});
const nobody = { isUsed: () => false, isNamed: () => false };
const times = (retainMs: number) => ({ listedAt: NOW - 1000, now: NOW, retainMs });
const DAY = 24 * 3600 * 1000;
const namesOf = (items: readonly { readonly name: string }[]) => items.map(({ name }) => name);
const ends = (retired: ReturnType<typeof retire>) => ({
  left: namesOf(retired.table.forwards),
  marked: namesOf(retired.marked),
  unmarked: namesOf(retired.unmarked),
  removed: namesOf(retired.removed),
  closed: namesOf(retired.closed),
});

t.test("the states of a forward", async (t) => {
  const none = { left: ["a"], marked: [], unmarked: [], removed: [], closed: [] };
  const CASES: readonly [string, Partial<Forward>, boolean, number, Partial<typeof none> | object][] = [
    ["used", {}, true, DAY, {}],
    ["used again", { unusedSince: ago(DAY * 3) }, true, DAY, { unmarked: ["a"] }],
    ["unused", {}, false, DAY, { marked: ["a"] }],
    ["marked a moment ago", { unusedSince: ago(SETTLE_MS) }, false, DAY, {}],
    [
      "marked for as long as it is retained",
      { unusedSince: ago(DAY + 1000) },
      false,
      DAY,
      { left: [], removed: ["a"] },
    ],
    ["retained for less than pods may take to be stored", { unusedSince: ago(SETTLE_MS) }, false, 1000, {}],
    ["and for longer", { unusedSince: ago(SETTLE_MS + 1000) }, false, 1000, { left: [], removed: ["a"] }],
    ["a mark that is no time", { unusedSince: "yesterday" }, false, 1000, { marked: ["a"] }],
    ["a mark of the future", { unusedSince: ago(-DAY) }, false, 1000, { marked: ["a"] }],
  ];
  for (const [what, more, isUsed, retainMs, expected] of CASES) {
    const table: Table = { forwards: [forward("a", "10.0.0.5", 1433, more)], services: [] };
    const retired = retire(table, { isUsed: () => isUsed, isNamed: () => false }, times(retainMs));
    t.strictSame(ends(retired), { ...none, ...expected }, what);
    const isSame = Object.keys(expected).length === 0;
    t.equal(retired.table === table, isSame, `${what}: the same table where nothing changes`);
    for (const { unusedSince } of retired.table.forwards)
      if (ends(retired).marked.length > 0) t.equal(unusedSince, new Date(NOW).toISOString());
  }
});

t.test("a host's Service is closed with its last forward, unless a live pod names it", async (t) => {
  const old = { unusedSince: ago(DAY) };
  const table: Table = {
    forwards: [forward("a", "10.0.0.5", 1, old), forward("b", "10.0.0.6", 2, old), forward("c", "10.0.0.6", 3)],
    services: [service("10.0.0.5"), service("10.0.0.6"), service("10.0.0.7")],
  };
  const isUsed = ({ name }: Forward): boolean => name === "c";
  const named = retire(table, { isUsed, isNamed: ({ host }) => host === "10.0.0.5" }, times(1000));
  t.strictSame(ends(named), {
    ...{ left: ["c"], marked: [], unmarked: [] },
    ...{ removed: ["a", "b"], closed: ["gw-10-0-0-7"] },
  });
  const { table: closed } = retire(named.table, { isUsed, isNamed: () => false }, times(1000));
  t.strictSame(
    closed.services.map(({ isClosed }) => isClosed),
    [true, undefined, true],
  );
  const again = retire(closed, { isUsed, isNamed: () => false }, times(1000));
  t.equal(again.table, closed, "once");
  t.strictSame(namesOf(withoutServices(closed, new Set(["gw-10-0-0-5", "gw-10-0-0-6"])).services), [
    "gw-10-0-0-6",
    "gw-10-0-0-7",
  ]);
  t.equal(withoutServices(closed, new Set(["gw-10-0-0-6"])), closed, "one that is not closed stays");
});

const gateway = gatewayOf(configOf("gateways: [{name: gw, tunnels: [{name: wg0, secretName: a}], maxServices: 1}]"));
const offered = (table: Table, name: string, host: string, port: number) => {
  const allocated = allocate(table, gateway, [{ wants: [wantOf(name, host, port)] }]);
  const [result] = allocated.results;
  if (result?.kind !== "given") throw new Error(result?.message);
  return { table: allocated.table, given: result.given[0] };
};

t.test("a removed forward's ports are its target's, and others' when there is nothing else", async (t) => {
  const old = { unusedSince: ago(DAY), listenPort: 1433 };
  const start: Table = { forwards: [forward("a", "10.0.0.5", 1433, old)], services: [] };
  const { table } = retire(start, nobody, times(1000));
  t.strictSame(table.retired, [
    { tunnel: "wg0", targetHost: "10.0.0.5", targetPort: 1433, listenPort: 1433, servicePort: 1433 },
  ]);
  t.match(offered(table, "back", "10.0.0.5", 1433).given, { forward: { servicePort: 1433, listenPort: 1433 } });
  const other = offered(table, "other", "10.0.0.6", 1433);
  t.match(other.given, { forward: { servicePort: undefined, listenPort: 1434 }, service: { host: "10.0.0.6" } });
  const last = offered(other.table, "last", "10.0.0.7", 1433);
  t.match(last.given, { forward: { servicePort: 1433, listenPort: 1435 }, service: undefined }, "no Service is left");
  t.throws(() => offered(last.table, "more", "10.0.0.8", 1433), /no-service-left|no further Service/);
  const read = readTable(writeTable(last.table, () => true)["table.json"], "table");
  t.strictSame(read, { kind: "table", table: last.table }, "it is stored");
});

t.test("a host whose Service is closed gets another one", async (t) => {
  const closed = service("10.0.0.6", { name: "gw-10-0-0-6-0aaf4f24", isClosed: true });
  const many = gatewayOf(configOf("gateways: [{name: gw, tunnels: [{name: wg0, secretName: a}]}]"));
  const table: Table = { forwards: [forward("a", "10.0.0.5", 1433)], services: [closed] };
  const allocated = allocate(table, many, [{ wants: [wantOf("b", "10.0.0.6", 1433)] }]);
  t.equal(allocated.table.services.length, 2);
  t.not(allocated.table.services[1]?.name, closed.name);
  const read = readTable(writeTable(allocated.table, () => true)["table.json"], "table");
  t.strictSame(read, { kind: "table", table: allocated.table });
});

t.test("the last removed ports are remembered, five hundred of them", async (t) => {
  const old = { unusedSince: ago(DAY) };
  const forwards = Array.from({ length: 400 }, (_, at) => forward(`f${at}`, "10.0.0.5", 1 + at, old));
  const first = retire({ forwards, services: [] }, nobody, times(1000)).table;
  const later = forwards.map((item) => ({ ...item, targetHost: "10.0.0.6" }));
  const { retired = [] } = retire({ ...first, forwards: later }, nobody, times(1000)).table;
  t.equal(retired.length, 500);
  t.equal(retired[0]?.targetHost, "10.0.0.6");
  t.equal(retired.filter(({ targetHost }) => targetHost === "10.0.0.5").length, 100);
});

t.test("removals are counted, marks are not: a table never looks again like one of before a removal", async (t) => {
  const unused = { forwards: [forward("a", "10.0.0.5", 1, { unusedSince: ago(DAY) })], services: [] };
  const first = retire(unused, nobody, times(1000)).table;
  t.equal(first.removals, 1);
  const again = retire({ ...first, forwards: unused.forwards }, nobody, times(1000)).table;
  t.equal(again.removals, 2);
  const marked = retire({ ...again, forwards: [forward("a", "10.0.0.5", 1)] }, nobody, times(1000)).table;
  t.equal(marked.removals, 2);
  const read = readTable(JSON.stringify({ version: 2, ...again }), "table");
  t.match(read, { kind: "table", table: { removals: 2 } });
});
