// Runs nodes.ts on machines of its own: once with Kubernetes' default flags, and once with flags that find a dead node
// sooner.
import { join } from "node:path";
import t from "tap";
import { launch } from "../lab/node/launch.ts";
import { leftovers } from "../lab/node/leftovers.ts";

const { args, env } = await launch(join(import.meta.dirname, "nodes.ts"));
for (const variant of ["default", "quick"])
  await t.spawn(process.execPath, [...args], { env: { ...env, VARIANT: variant } }, `a node dies, flags: ${variant}`);
t.strictSame(leftovers(), [], "nothing is left of the nodes");
