// How a file that needs a node is run: everything that needs a network is made here, since the node's machine has none.
import { join } from "node:path";
import { components, findNodePrograms, findPrograms } from "../control-plane/programs.ts";
import { makeImages } from "./image-list.ts";
import { checkNodeRequirements } from "./requirements.ts";

export type Launch = { readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv };

/**
 * The arguments and the environment with which Node runs `file` on a machine of its own. `images`: archives besides the
 * usual ones.
 */
export const launch = async (file: string, images: readonly string[] = []): Promise<Launch> => {
  checkNodeRequirements();
  await findPrograms([...components, "helm"]);
  await findNodePrograms();
  const archives = [...(await makeImages()), ...images];
  return {
    args: [join(import.meta.dirname, "main.ts"), process.execPath, file],
    env: { ...process.env, FLOWGEN_NODE_IMAGES: archives.join(":") },
  };
};
