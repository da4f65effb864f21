import { spawnSync } from "node:child_process";
import t from "tap";
import { plainEnv } from "../program.ts";

/** `RUNS=10000 FC_SEED=random npm test -- test/core/growth.test.ts` searches for longer, elsewhere. */
t.test("no pod costs more than its size and the work that is charged for it", async (t) => {
  const { RUNS, FC_SEED } = process.env;
  const env = { ...plainEnv(), ...(RUNS && { RUNS }), ...(FC_SEED && { FC_SEED }) };
  // The test runner measures coverage in every child, by the counters that this one reads.
  const bare = ["-u", "NODE_OPTIONS", "-u", "NODE_V8_COVERAGE", process.execPath];
  const { status, stdout, stderr } = spawnSync("env", [...bare, `${import.meta.dirname}/growth.ts`], {
    env,
    encoding: "utf8",
  });
  t.equal(status, 0, stderr);
  t.comment(stdout);
});
