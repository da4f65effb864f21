import t from "tap";
import { createRolls } from "../../src/server/rolls.ts";

t.test("a roll is under way until no Deployment of any gateway is due", async (t) => {
  const { note, isUnderWay } = createRolls(() => 0);
  t.equal(isUnderWay(), false);
  note("ns/a", { wanted: 2, available: 2, due: 1 });
  note("ns/b", { wanted: 1, available: 1, due: 1 });
  t.equal(isUnderWay(), true);
  note("ns/a", { wanted: 2, available: 1, due: 0 });
  t.equal(isUnderWay(), true, "the Deployment of an identity that is gone has yet to be removed");
  note("ns/b", { wanted: 1, available: 1, due: 0 });
  t.equal(isUnderWay(), false);
});

t.test("a gateway that starts is looked at until it is ready, for half a minute at most", async (t) => {
  let [now, begun] = [0, 0];
  const { noteStart, isUnderWay } = createRolls(
    () => now,
    () => (begun += 1),
  );
  noteStart("ns/ready", false);
  t.strictSame([begun, isUnderWay()], [0, false]);
  noteStart("ns/a", true);
  noteStart("ns/a", true);
  t.strictSame([begun, isUnderWay()], [1, true]);
  noteStart("ns/a", false);
  t.equal(isUnderWay(), false, "ready");
  noteStart("ns/a", true);
  now = 30_000;
  noteStart("ns/a", true);
  t.strictSame([begun, isUnderWay()], [2, false], "it lacks something");
});
