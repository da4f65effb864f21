// Runs check.ts on a machine of its own.
import { join } from "node:path";
import t from "tap";
import { launch } from "../lab/node/launch.ts";
import { leftovers } from "../lab/node/leftovers.ts";

const { args, env } = await launch(join(import.meta.dirname, "check.ts"));
await t.spawn(process.execPath, [...args], { env }, "check on a real node");
t.strictSame(leftovers(), [], "nothing is left of the node");
