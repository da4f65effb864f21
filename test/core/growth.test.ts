import { spawnSync } from "node:child_process";
import t from "tap";
import { plainEnv } from "../program.ts";

/** `RUNS=10000 FC_SEED=random npm test -- test/core/growth.test.ts` searches for longer, elsewhere. */
t.test("no pod costs more than its size and the work that is charged for it", async (t) => {
  const { RUNS, FC_SEED } = process.env;
  const env = { ...plainEnv(), ...(RUNS && { RUNS }), ...(FC_SEED && { FC_SEED }) };
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${import.meta.dirname}/growth.ts`], {
    env,
    encoding: "utf8",
  });
  t.equal(status, 0, stderr);
  t.comment(stdout);
});
