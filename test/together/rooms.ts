import { runTogether } from "./load.ts";

runTogether("certificates", "provisioning", "manifests", "emulator", "lab/flowgen", "repository");
