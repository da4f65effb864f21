import t from "tap";
import { allocate, givenAlready } from "../../../src/core/forwards/allocate.ts";
import { bytesOf } from "../../../src/core/forwards/allocator.ts";
import { emptyTable, type Forward, type Table } from "../../../src/core/forwards/table.ts";
import type { PlacedGateway } from "../../../src/core/config/config.ts";
import type { Want } from "../../../src/core/target.ts";
import { configOf, gatewayOf, wantOf } from "../../making.ts";

const made = (more: string, tunnel = "allowedTargets: [10.0.0.0/8]", namespace = "namespace: g, "): PlacedGateway =>
  gatewayOf(configOf(`gateways: [{${namespace}${more}, tunnels: [{name: wg0, secretName: a, ${tunnel}}]}]`));
const gateway = made("maxForwards: 4");
/** Wants of one namespace for servers by their last byte. */
const from = (namespace: string, ...servers: readonly number[]): readonly Want[] =>
  servers.map((server) => wantOf(`s${server}`, `10.0.0.${server}`, 1000 + server, { namespace }));
const after = (table: Table, wants: readonly Want[], by = gateway): Table => allocate(table, by, [{ wants }]).table;
const refusal = (table: Table, wants: readonly Want[], by = gateway) => allocate(table, by, [{ wants }]).results[0];

t.test("a forward names each namespace that asked for it once", async (t) => {
  const first = after(emptyTable, from("team-a", 1));
  t.strictSame(first.forwards[0]?.namespaces, ["team-a"]);
  t.equal(after(first, from("team-a", 1)), first, "no second write for it");
  t.ok(givenAlready(first, gateway, from("team-a", 1)));
  t.equal(givenAlready(first, gateway, from("team-b", 1)), undefined, "the first pod of another one is a write");
  t.strictSame(after(first, from("team-b", 1)).forwards[0]?.namespaces, ["team-a", "team-b"]);
});

t.test("a gateway in each namespace has the pods of its own alone, and names none", async (t) => {
  const own = made("maxForwards: 2", undefined, "");
  const table = after(emptyTable, from("flowgen-gateway", 1, 2), own);
  t.ok(table.forwards.every(({ namespaces }) => namespaces === undefined));
  t.ok(givenAlready(table, own, from("flowgen-gateway", 1)));
});

t.test("one namespace has half of the forwards at most, and may use the forwards that the gateway has", async (t) => {
  t.equal(gateway.maxForwardsPerNamespace, 2);
  t.equal(made("maxForwards: 3").maxForwardsPerNamespace, 2);
  const half = after(emptyTable, from("team-a", 1, 2));
  t.match(refusal(half, from("team-a", 3)), {
    reason: "namespace-full",
    message: /^s3: namespace team-a asked for 2 forwards of \S+, of at most 2; asked for by team-a 2: /,
  });
  t.match(refusal(half, from("team-a", 1, 3)), { reason: "namespace-full" }, "the pod is refused whole");
  const shared = after(half, from("team-b", 1, 2, 3));
  t.equal(shared.forwards.length, 2, "two of others, and no third beyond the share");
  const both = after(after(half, from("team-b", 3)), from("team-b", 1, 2));
  t.match(both.forwards, [{ namespaces: ["team-a", "team-b"] }, { namespaces: ["team-a", "team-b"] }, {}]);
  t.match(refusal(both, from("team-b", 4)), { message: /asked for by team-b 3, team-a 2:/ });
  const even = after(after(emptyTable, from("team-b", 1)), from("team-a", 2, 3).slice(1));
  t.match(refusal(after(even, from("team-a", 4)), from("team-a", 5)), { message: /asked for by team-a 2, team-b 1:/ });
  const alike = after(after(after(even, from("team-c", 4)), from("team-d", 5)), []);
  t.match(refusal(alike, from("team-e", 6)), { message: /by team-a 1, team-b 1, team-c 1, team-d 1:/ }, "by name");
  const full = after(both, from("team-c", 4));
  t.match(refusal(full, from("team-c", 5)), {
    reason: "gateway-full",
    message: /4 forwards of at most 4; asked for by team-b 3, team-a 2, team-c 1: /,
  });
});

t.test("a static forward is the admin's, and counts to no namespace's share", async (t) => {
  const chart = made(
    "maxForwardsPerNamespace: 1",
    "allowedTargets: [10.0.0.0/8], portForwards: [{name: s1, port: 2001, targetHost: 10.0.0.1, targetPort: 1001}]",
  );
  const table = after(emptyTable, from("team-a", 1), chart);
  t.match(refusal(table, from("team-a", 2), chart), { kind: "given" });
});

t.test("the holders that a message names are few", async (t) => {
  const crowded = made("maxForwards: 8");
  const table = Array.from({ length: 8 }, (_, at) => from(`team-${at}`, at + 1)).reduce(
    (so, wants) => after(so, wants, crowded),
    emptyTable,
  );
  t.match(refusal(table, from("late", 99), crowded), { message: /team-3 1, team-4 1 and 3 more: / });
});

t.test("names of namespaces never take the room of forwards", async (t) => {
  const many = (count: number): string[] =>
    Array.from({ length: count }, (_, at) => `${"n".repeat(55)}${String(at).padStart(8, "0")}`);
  const [forward] = after(emptyTable, from("team-a", 1)).forwards as readonly [Forward];
  const table: Table = { ...emptyTable, forwards: [{ ...forward, namespaces: many(9000) }] };
  t.ok(bytesOf(table) > 590_000 && bytesOf(table) < 600_000 + 9000, String(bytesOf(table)));
  const crowd = { ...table, forwards: [{ ...forward, namespaces: many(9200) }] };
  t.ok(givenAlready(crowd, gateway, from("team-b", 1)), "served without its name: only its share depends on that");
  t.equal(after(crowd, from("team-b", 1)), crowd);
  t.match(refusal(crowd, from("team-b", 2)), { kind: "given" }, "a new forward has room");
  const byPattern = made("maxForwards: 4", 'allowedTargets: [10.0.0.0/8], namespaces: ["team-*"]');
  t.equal(givenAlready(crowd, byPattern, from("team-b", 1)), undefined);
  t.match(refusal(crowd, from("team-b", 1), byPattern), { reason: "gateway-full" }, "the policy would not admit it");
});
