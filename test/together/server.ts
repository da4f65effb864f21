import { runTogether } from "./load.ts";

runTogether("server", "cluster-port");
