// An image with flowgen's own program, as the flowgen chart uses its image.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { debianLayer } from "../node/image-list.ts";
import { layerOf, writeImages } from "../node/images.ts";

export const FLOWGEN_IMAGE = "ghcr.io/connve/flowgen:0.134.0";

/** Makes its archive, once for each program, and returns the path. */
export const makeFlowgenImage = async (program: string): Promise<string> => {
  const { digest } = await layerOf(program);
  const debian = await debianLayer();
  const archive = join(dirname(debian.file), `flowgen-${debian.digest.slice(-12)}-${digest.slice(-12)}.tar`);
  if (existsSync(archive)) return archive;
  const work = mkdtempSync(`${archive}.`);
  try {
    mkdirSync(join(work, "usr/bin"), { recursive: true }); // the chart's /bin/flowgen: /bin is a link to usr/bin
    copyFileSync(program, join(work, "usr/bin/flowgen"));
    const layer = join(work, "layer.tar");
    execFileSync("tar", ["-C", work, "--owner=0", "--group=0", "--mode=755", "-cf", layer, "usr"]);
    const layers = [debian, await layerOf(layer)];
    await writeImages(archive, [{ name: FLOWGEN_IMAGE, layers, entrypoint: ["/bin/flowgen"] }]);
  } finally {
    rmSync(work, { recursive: true });
  }
  return archive;
};
