// Runs flowgen.ts on a machine of its own, where flowgen's program is to be had.
import { join } from "node:path";
import t from "tap";
import { findServers } from "../lab/control-plane/programs.ts";
import { makeFlowgenImage } from "../lab/flowgen/image.ts";
import { findFlowgen } from "../lab/flowgen/program.ts";
import { launch } from "../lab/node/launch.ts";
import { leftovers } from "../lab/node/leftovers.ts";

const flowgen = findFlowgen();
if (flowgen.kind === "missing") t.plan(0, flowgen.how);
else {
  await findServers();
  const { args, env } = await launch(join(import.meta.dirname, "flowgen.ts"), [await makeFlowgenImage(flowgen.path)]);
  await t.spawn(process.execPath, [...args], { env }, "flowgen's own program on a real node");
  t.strictSame(leftovers(), [], "nothing is left of the node");
}
