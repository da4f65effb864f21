import t from "tap";
import { createRolls } from "../../src/server/rolls.ts";

t.test("a roll is under way until every Deployment is as the config has it; one alone has none", async (t) => {
  const { note, isUnderWay } = createRolls();
  note("ns/a", { wanted: 2, available: 2, due: 1 });
  note("ns/b", { wanted: 1, available: 0, due: 1 });
  t.equal(isUnderWay(), true);
  note("ns/a", { wanted: 2, available: 1, due: 0 });
  t.equal(isUnderWay(), false);
});
