/** Where flowgen's program is looked for, and what is said where it is not. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { findFlowgen } from "./program.ts";

t.test("FLOWGEN_BIN, else the cache folder's, else how to give it", async (t) => {
  const folder = t.testdir();
  const cached = join(folder, "bin/flowgen");
  t.match(findFlowgen({ FLOWGEN_TEST_CACHE: folder }), { kind: "missing", how: new RegExp(`${cached}.*FLOWGEN_BIN`) });
  mkdirSync(join(folder, "bin"));
  writeFileSync(cached, "");
  t.strictSame(findFlowgen({ FLOWGEN_TEST_CACHE: folder }), { kind: "found", path: cached });
  t.match(findFlowgen({ FLOWGEN_TEST_CACHE: folder, FLOWGEN_BIN: "/nowhere/flowgen" }), {
    kind: "missing",
    how: /\/nowhere\/flowgen/,
  });
});
