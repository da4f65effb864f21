import t from "tap";
import { readTable, writeTable } from "../../../src/core/forwards/format.ts";
import type { Forward, Table } from "../../../src/core/forwards/table.ts";

const forward = (at: number): Forward => ({
  name: `t${at}`,
  tunnel: "wg0",
  targetHost: "10.0.0.1",
  targetPort: 3000 + at,
  listenPort: 3000 + at,
  servicePort: 3000 + at,
});
const textOf = (...forwards: readonly Forward[]): string =>
  writeTable({ forwards, services: [] }, () => true)["table.json"];
const read = (text: string): Table => {
  const result = readTable(text, "the table");
  if (result.kind !== "table") throw new Error(result.reason);
  return result.table;
};

t.test("an item that was read before is the same object; one that differs is read anew", async (t) => {
  const [first] = read(textOf(forward(1))).forwards;
  const [same, changed] = read(textOf(forward(1), { ...forward(2), policy: 2 })).forwards;
  t.equal(same, first);
  t.strictSame(changed, { ...forward(2), policy: 2 });
});

t.test("a bad item is named by its place each time, also after good ones", async (t) => {
  const good = read(textOf(forward(1)));
  const bad = JSON.stringify({ version: 2, forwards: [...good.forwards, { ...forward(2), listenPort: 80 }] });
  for (const _ of [1, 2])
    t.match(readTable(bad, "the table"), { reason: "table-invalid", message: /the table\.forwards\[1\]\.listenPort/ });
});
