/**
 * Files that ship beside the program and are read at run time. This file stands in `src` itself, and in a build in
 * `dist`, so the paths hold in both.
 */
import packageJson from "../package.json" with { type: "json" };

/** The shell scripts that run in a gateway's pod. */
export const gatewayScripts = new URL("gateway/", import.meta.url);

/** The manifests and the config of the demo. */
export const examples = new URL("../examples/", import.meta.url);

/** The program's version. */
export const { version } = packageJson;
