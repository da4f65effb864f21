/**
 * `npm run image -- OUT`: the image of the Dockerfile without a container engine. OUT.tar: an archive for `ctr images
 * import` or `docker load`; any other OUT: the root file system as a folder. As root, on Debian 12.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { version } from "../../../src/files.ts";
import { writeArchive } from "./archive.ts";
import { readDockerfile } from "./dockerfile.ts";
import { buildImage } from "./rootfs.ts";
import { root } from "../../program.ts";

/** As the chart's values have it. */
const NAME = `ghcr.io/connve/flowgen-gateway-webhook:${version}`;

const build = (out: string, work: string): void => {
  const image = buildImage(readDockerfile(readFileSync(join(root, "Dockerfile"), "utf8")), root, work);
  if (out.endsWith(".tar")) writeArchive(image, NAME, out);
  else {
    mkdirSync(out, { recursive: true });
    execFileSync("cp", ["-a", "--one-file-system", `${image.root}/.`, out]);
  }
  console.log(`${NAME}: ${out}`);
};

/** In a mount namespace of its own: when it is over nothing is mounted on `work`, which is empty again. */
const buildApart = (out: string): number => {
  const work = mkdtempSync(join(tmpdir(), "flowgen-gateway-image-"));
  const self = [process.execPath, import.meta.filename, resolve(out), work];
  const { status, error } = spawnSync("unshare", ["--mount", "--propagation", "private", ...self], {
    stdio: "inherit",
  });
  rmdirSync(work);
  if (error) throw error;
  return status ?? 1;
};

const [out, work] = process.argv.slice(2);
if (out === undefined) console.error("usage: npm run image -- OUT.tar | FOLDER");
if (out !== undefined && work !== undefined) build(out, work);
else process.exitCode = out === undefined ? 2 : buildApart(out);
