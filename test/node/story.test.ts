// Runs story.ts on a machine of its own, and looks whether this one is as it was.
import { join } from "node:path";
import t from "tap";
import { launch } from "../lab/node/launch.ts";
import { leftovers, machineSettings } from "../lab/node/leftovers.ts";

const settings = machineSettings();
const { args, env } = await launch(join(import.meta.dirname, "story.ts"));
await t.spawn(process.execPath, [...args], { env }, "the story on a real node");

t.strictSame(leftovers(), [], "nothing is left of the node");
t.strictSame(machineSettings(), settings, "what a kubelet sets for the whole machine is as it was");
