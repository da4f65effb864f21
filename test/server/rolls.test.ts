import t from "tap";
import { createRolls } from "../../src/server/rolls.ts";

t.test("a roll is under way until no Deployment of any gateway is due", async (t) => {
  const { note, isUnderWay } = createRolls();
  t.equal(isUnderWay(), false);
  note("ns/a", { wanted: 2, available: 2, due: 1 });
  note("ns/b", { wanted: 1, available: 1, due: 1 });
  t.equal(isUnderWay(), true);
  note("ns/a", { wanted: 2, available: 1, due: 0 });
  t.equal(isUnderWay(), true, "the Deployment of an identity that is gone has yet to be removed");
  note("ns/b", { wanted: 1, available: 1, due: 0 });
  t.equal(isUnderWay(), false);
});
