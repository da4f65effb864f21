/** The image's entry point and env, as the Dockerfile's last stage has them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../program.ts";
import { readDockerfile } from "./dockerfile.ts";

const steps = readDockerfile(readFileSync(join(root, "Dockerfile"), "utf8")).at(-1)?.steps ?? [];

/** Node, its flags, and the program's file. */
export const ENTRY_POINT = steps.flatMap((step) => (step.kind === "ENTRYPOINT" ? step.args : []));
/** Those between the two. */
export const NODE_FLAGS = ENTRY_POINT.slice(1, -1);
export const IMAGE_ENV = Object.assign(
  {},
  ...steps.flatMap((step) => (step.kind === "ENV" ? [step.values] : [])),
) as Record<string, string>;
