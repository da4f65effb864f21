// Runs story.ts on a machine of its own, and looks whether this one is as it was.
import { join } from "node:path";
import t from "tap";
import { components, findNodePrograms, findPrograms } from "../lab/control-plane/programs.ts";
import { makeImages } from "../lab/node/image-list.ts";
import { leftovers, machineSettings } from "../lab/node/leftovers.ts";
import { checkNodeRequirements } from "../lab/node/requirements.ts";

checkNodeRequirements();
const settings = machineSettings();
// All that needs a network is made here: the machine has none.
await findPrograms([...components, "helm"]);
await findNodePrograms();
const env = { ...process.env, FLOWGEN_NODE_IMAGES: (await makeImages()).join(":") };
const file = (name: string): string => join(import.meta.dirname, name);
const story = [file("../lab/node/main.ts"), process.execPath, file("story.ts")];
await t.spawn(process.execPath, story, { env }, "the story on a real node");

t.strictSame(leftovers(), [], "nothing is left of the node");
t.strictSame(machineSettings(), settings, "what a kubelet sets for the whole machine is as it was");
