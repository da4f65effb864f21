import t from "tap";
import { policiesOf, policyOf, spread } from "../../../src/core/forwards/policies.ts";
import { readTable, writeTable } from "../../../src/core/forwards/format.ts";
import { emptyTable, type Forward } from "../../../src/core/forwards/table.ts";

const forward = (at: number, policy?: number): Forward => ({
  name: `t${at}`,
  tunnel: "wg0",
  targetHost: `10.0.${at >> 8}.${at & 255}`,
  targetPort: 1,
  listenPort: 2000 + at,
  servicePort: 2000 + at,
  ...(policy !== undefined && { policy }),
});
const forwards = (count: number): Forward[] => Array.from({ length: count }, (_, at) => forward(at));
const countsOf = (items: readonly Forward[]): readonly number[] => {
  const counts: number[] = [];
  for (const item of items) counts[policyOf(item) - 1] = (counts[policyOf(item) - 1] ?? 0) + 1;
  return counts;
};

t.test("no more than 200 forwards in a policy, in the order in which they came", async (t) => {
  for (const [count, wanted] of [
    [1, [1]],
    [200, [200]],
    [201, [200, 1]],
    [500, [200, 200, 100]],
  ] as const) {
    const table = spread({ ...emptyTable, forwards: forwards(count) });
    t.strictSame(countsOf(table.forwards), wanted);
    t.strictSame(policiesOf(table), wanted.map((_, at) => at + 1)); // prettier-ignore
    t.equal(spread(table), table, "a second time nothing changes");
  }
  t.strictSame(policiesOf(emptyTable), [1], "the first one always");
});

t.test("a forward stays in its policy after removals; the next new forward takes the free room", async (t) => {
  const before = spread({ ...emptyTable, forwards: forwards(450) });
  const left = { ...before, forwards: before.forwards.filter((_, at) => at % 3 !== 0) };
  t.equal(spread(left), left);
  const after = spread({ ...left, forwards: [...left.forwards, ...forwards(600).slice(450, 590)] });
  t.strictSame(after.forwards.slice(0, left.forwards.length), left.forwards);
  t.ok(countsOf(after.forwards).every((count) => count <= 200));
  t.strictSame(countsOf(after.forwards), [200, 200, 40]);
});

t.test("the table keeps the places, and is of format 1 without any", async (t) => {
  const texts = [200, 201].map((count) => {
    const table = spread({ ...emptyTable, forwards: forwards(count) });
    return [table, writeTable(table, () => true)["table.json"]] as const;
  });
  for (const [table, text] of texts) t.match(readTable(text, ""), { kind: "table", table });
  t.strictSame(texts.map(([, text]) => (JSON.parse(text) as { version: number }).version), [1, 2]); // prettier-ignore
});
