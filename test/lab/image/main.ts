/**
 * `npm run image -- OUT [amd64|arm64]`: the image of the Dockerfile without a container engine, of this machine's
 * architecture or the named one. OUT.tar: an archive for `ctr images import` or `docker load`; any other OUT: the root
 * file system as a folder. As root, on Debian 12.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { version } from "../../../src/files.ts";
import { type Architecture, ARCHITECTURES, OWN } from "./architecture.ts";
import { writeArchive } from "./archive.ts";
import { readDockerfile } from "./dockerfile.ts";
import { buildImage } from "./rootfs.ts";
import { root } from "../../program.ts";

/** As the chart's values have it. */
const NAME = `ghcr.io/connve/flowgen-gateway-webhook:${version}`;

const build = (out: string, architecture: Architecture, work: string): void => {
  const stages = readDockerfile(readFileSync(join(root, "Dockerfile"), "utf8"));
  const image = buildImage(stages, { context: root, work, architecture });
  if (out.endsWith(".tar")) writeArchive(image, NAME, out);
  else {
    mkdirSync(out, { recursive: true });
    execFileSync("cp", ["-a", "--one-file-system", `${image.root}/.`, out]);
  }
  console.log(`${NAME}: ${out}`);
};

/** In a mount namespace of its own: when it is over nothing is mounted on `work`, which is empty again. */
const buildApart = (out: string, architecture: Architecture): number => {
  const work = mkdtempSync(join(tmpdir(), "flowgen-gateway-image-"));
  const self = [process.execPath, import.meta.filename, resolve(out), architecture, work];
  const { status, error } = spawnSync("unshare", ["--mount", "--propagation", "private", ...self], {
    stdio: "inherit",
  });
  rmdirSync(work);
  if (error) throw error;
  return status ?? 1;
};

const [out, named = OWN, work] = process.argv.slice(2);
const architecture = ARCHITECTURES.find((each) => each === named);
if (out === undefined || architecture === undefined) {
  console.error("usage: npm run image -- OUT.tar|FOLDER [amd64|arm64]");
  process.exitCode = 2;
} else if (work === undefined) process.exitCode = buildApart(out, architecture);
else build(out, architecture, work);
