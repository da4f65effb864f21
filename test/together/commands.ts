import { runTogether } from "./load.ts";

runTogether("commands");
