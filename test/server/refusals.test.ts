import t from "tap";
import { createRefusals } from "../../src/server/refusals.ts";

const owner = (uid: string) => ({
  namespace: "team-a",
  owner: { apiVersion: "apps/v1", kind: "ReplicaSet", name: "r", uid },
});

t.test("a refusal that comes again has no line of its own, and is counted", async (t) => {
  let now = 0;
  const { seen } = createRefusals(() => now);
  t.equal(seen(owner("a"), "target-not-allowed"), 0);
  t.equal(seen(owner("a"), "target-not-allowed"), undefined);
  t.equal(seen(owner("a"), "target-not-allowed"), undefined);
  t.equal(seen(owner("a"), "gateway-full"), 0, "another reason");
  t.equal(seen(owner("b"), "target-not-allowed"), 0, "another owner");
  now = 11 * 60_000;
  t.equal(seen(owner("a"), "target-not-allowed"), 2);
  t.equal(seen(owner("a"), "target-not-allowed"), undefined);
});

t.test("a pod without an owner always has its line, and the memory of owners is bounded", async (t) => {
  const { seen } = createRefusals();
  for (let count = 0; count < 3; count += 1) t.equal(seen({ namespace: "a", owner: undefined }, "reserved"), 0);
  for (let count = 0; count < 1001; count += 1) seen(owner(String(count)), "reserved");
  t.equal(seen(owner("0"), "reserved"), 0, "the longest ago is forgotten");
  t.equal(seen(owner("1000"), "reserved"), undefined);
});
