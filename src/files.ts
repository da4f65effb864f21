/**
 * What ships beside the program and is read at run time. This file stands in `src` itself, whose place `dist` takes in a build: the
 * paths hold in both.
 */
import packageJson from "../package.json" with { type: "json" };

/** The shell scripts that run in a gateway's pod. */
export const gatewayScripts = new URL("gateway/", import.meta.url);

/** What the demo plays. */
export const examples = new URL("../examples/", import.meta.url);

/** The program's version. */
export const { version } = packageJson;
