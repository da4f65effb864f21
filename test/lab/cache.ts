import { homedir } from "node:os";
import { join } from "node:path";

/** The folder of the programs and images that are built or downloaded once: that of build.sh and rootfs.sh. */
export const cacheFolder = (env: NodeJS.ProcessEnv = process.env): string =>
  env["FLOWGEN_TEST_CACHE"] ?? join(homedir(), ".cache/flowgen-gateway-webhook");
