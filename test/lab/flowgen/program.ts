// flowgen's own program, which this repository does not build: a test that needs it is skipped where it is not.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../cache.ts";

export type Flowgen =
  | { readonly kind: "found"; readonly path: string }
  /** `how`: how to give it. */
  | { readonly kind: "missing"; readonly how: string };

/**
 * `FLOWGEN_BIN`, else `flowgen` beside the cluster's programs in the cache folder (test/lab/control-plane/build.sh).
 */
export const findFlowgen = (env: NodeJS.ProcessEnv = process.env): Flowgen => {
  const path = env["FLOWGEN_BIN"] ?? join(cacheFolder(env), "bin/flowgen");
  if (existsSync(path)) return { kind: "found", path };
  const how = `there is no flowgen at ${path}: build github.com/connve/flowgen and put its program there, or set FLOWGEN_BIN to its path`;
  return { kind: "missing", how };
};
