import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Image } from "./rootfs.ts";

const tar = (out: string, folder: string): void => {
  const fixed = ["--sort=name", "--mtime=@0", "--numeric-owner", "--one-file-system", "--format=gnu"];
  execFileSync("tar", [...fixed, "-C", folder, "-cf", out, "."], { stdio: "inherit" });
};
const sha256 = (data: Buffer | string): string => createHash("sha256").update(data).digest("hex");

/**
 * Writes an image as `docker save` would: one layer, times at zero. `ctr images import FILE` and `docker load -i FILE`
 * read it.
 */
export const writeArchive = (image: Image, name: string, out: string): void => {
  mkdirSync(dirname(out), { recursive: true });
  const work = mkdtempSync(`${out}-`);
  try {
    tar(join(work, "layer.tar"), image.root);
    const config = JSON.stringify({
      architecture: image.architecture,
      os: "linux",
      created: "1970-01-01T00:00:00Z",
      config: {
        Env: Object.entries(image.env).map(([key, value]) => `${key}=${value}`),
        Entrypoint: image.entrypoint,
        Cmd: image.cmd,
        WorkingDir: image.cwd,
        User: image.user,
        ExposedPorts: Object.fromEntries(image.ports.map((port) => [`${port}/tcp`, {}])),
      },
      rootfs: { type: "layers", diff_ids: [`sha256:${sha256(readFileSync(join(work, "layer.tar")))}`] },
      history: [{ created: "1970-01-01T00:00:00Z", created_by: "Dockerfile" }],
    });
    const file = `${sha256(config)}.json`;
    writeFileSync(join(work, file), config);
    writeFileSync(
      join(work, "manifest.json"),
      JSON.stringify([{ Config: file, RepoTags: [name], Layers: ["layer.tar"] }]),
    );
    tar(out, work);
  } finally {
    rmSync(work, { recursive: true });
  }
};
