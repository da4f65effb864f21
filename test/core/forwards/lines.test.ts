import "../../seed.ts";
import fc from "fast-check";
import t from "tap";
import { allocate } from "../../../src/core/forwards/allocate.ts";
import { LINES_ANNOTATION, type LinedService, tableFromLines } from "../../../src/core/forwards/lines.ts";
import { emptyTable, type Forward, type Table } from "../../../src/core/forwards/table.ts";
import { hostServiceManifest, type Manifest, serviceManifest } from "../../../src/core/gateway/manifests.ts";
import { configOf, gatewayOf, wantOf } from "../../making.ts";

const gateway = gatewayOf(
  configOf(
    "gateways: [{name: gw, namespace: vpn, tunnels: [{name: wg0, secretName: a}, {name: wg1, secretName: b}], maxForwards: 500}]",
  ),
);
const IPS = ["10.96.0.7", "fd00::7"];
const lined = ({ metadata: { name, annotations } }: Manifest): LinedService => ({
  name,
  lines: annotations?.[LINES_ANNOTATION],
  clusterIPs: IPS,
});
const servicesOf = (table: Table) => ({
  own: lined(serviceManifest(gateway, table)),
  hosts: table.services.map((service) => lined(hostServiceManifest(gateway, table, service))),
});
const again = (table: Table) => {
  const { own, hosts } = servicesOf(table);
  return tableFromLines(own, hosts, "the table");
};
/** The table as Services carry it: in their order, with their addresses, and without marks. */
const sorted = ({ forwards, services }: Table): unknown => ({
  forwards: forwards
    .map(({ unusedSince: _, ...forward }) => JSON.stringify(Object.entries(forward).toSorted()))
    .toSorted(),
  services: services.map(({ name, tunnel, host }) => ({ name, tunnel, host, clusterIPs: IPS })),
});

t.test("any table is made again of its Services", async (t) => {
  const want = fc.record({
    host: fc.integer({ min: 1, max: 6 }),
    port: fc.constantFrom(80, 443, 1433),
    tunnel: fc.constantFrom("wg0", "wg1"),
    needsService: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(fc.array(want, { minLength: 1, maxLength: 3 }), { maxLength: 12 }),
      fc.boolean(),
      (pods, isMarked) => {
        const claims = pods.map((wants) => ({
          wants: wants.map(({ host, port, ...more }) => wantOf(`t${host}`, `10.0.0.${host}`, port, more)),
        }));
        const { table } = allocate(emptyTable, gateway, claims);
        const marked = {
          ...table,
          forwards: table.forwards.map((forward) => ({
            ...forward,
            ...(isMarked && { unusedSince: "2026-01-01T00:00:00Z" }),
          })),
        };
        const read = again(marked);
        t.equal(read.kind, "table");
        if (read.kind === "table") t.strictSame(sorted(read.table), sorted(marked));
      },
    ),
  );
});

const forward = (index: number, more: Partial<Forward> = {}): Forward => ({
  ...{ name: `f${index}`, tunnel: "wg0", targetHost: `10.0.${index >> 8}.${index & 255}`, targetPort: 1433 },
  ...{ listenPort: 2000 + index, servicePort: 3000 + index },
  ...more,
});

t.test("names of namespaces are left out where they would take more than annotations may", async (t) => {
  const namespaces = Array.from({ length: 100 }, (_, index) => `namespace-with-a-long-name-${index}`);
  const few: Table = { forwards: [forward(1, { namespaces })], services: [] };
  t.match(again(few), { table: { forwards: [{ namespaces }] } });
  const many: Table = {
    forwards: Array.from({ length: 500 }, (_, index) => forward(index, { namespaces })),
    services: [],
  };
  t.ok((servicesOf(many).own.lines ?? "").length < 200_000);
  t.match(again(many), { table: { forwards: { length: 500 } } });
  const long = "a".repeat(60);
  const longest: Table = {
    forwards: Array.from({ length: 500 }, (_, index) =>
      forward(index, { targetHost: `${[long, long, long, long].join(".")}.${index}x`, name: `${long}${index}` }),
    ),
    services: [],
  };
  t.ok((servicesOf(longest).own.lines ?? "").length < 262_144, "with the longest names");
});

t.test("a table that is not whole is refused", async (t) => {
  const { table } = allocate(emptyTable, gateway, [
    { wants: [wantOf("a", "10.0.0.5", 80, { needsService: true }), wantOf("b", "10.0.0.6", 80)] },
  ]);
  const { own, hosts } = servicesOf(table);
  t.equal(hosts.length, 2);
  const [first, second] = hosts as [LinedService, LinedService];
  const CASES: readonly [LinedService | undefined, readonly LinedService[], RegExp][] = [
    [undefined, hosts, /the table is missing, and so is the gateway's Service/],
    [{ ...own, lines: undefined }, hosts, /Service gw does not carry its lines/],
    [{ ...own, lines: "{" }, hosts, /Service gw does not carry its lines/],
    [own, [second], /so is Service gw-10-0-0-5-/],
    [own, [first, { ...second, lines: undefined }], /Service gw-10-0-0-6-.* does not carry its lines/],
    [own, [first, { ...second, lines: "{}" }], /Service gw-10-0-0-6-.* does not carry its lines/],
    [{ ...own, lines: JSON.stringify({ forwards: [{ x: 1 }], services: [] }) }, hosts, /the table\.forwards\[0\]/],
    [
      { ...own, lines: JSON.stringify({ forwards: [forward(1), forward(2, { listenPort: 2001 })], services: [] }) },
      [],
      /share a listenPort/,
    ],
  ];
  for (const [service, others, message] of CASES)
    t.match(tableFromLines(service, others, "the table"), { reason: "table-invalid", message });
});
