import { runTogether } from "./load.ts";

runTogether("certificates", "checks", "provisioning", "manifests", "emulator", "lab/flowgen", "repository");
