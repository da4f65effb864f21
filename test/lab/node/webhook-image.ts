// The webhook's image as `npm run image` made it by the Dockerfile, and the one that would come next.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { version } from "../../../src/files.ts";

/** `npm run test:node` makes it before. */
export const WEBHOOK_IMAGE = new URL("../../../.cache/webhook.tar", import.meta.url).pathname;
/** The version after this one: the same program, which takes itself for that version. */
export const NEXT_VERSION = version.replace(/\d+$/, (patch) => String(Number(patch) + 1));

type Saved = { readonly Config: string; readonly RepoTags: readonly [string]; readonly Layers: readonly string[] };
type Config = { readonly rootfs: { readonly diff_ids: readonly string[] } };

/**
 * Writes the next version's image: the layer of this one, and above it a layer with the version's number in the bundle.
 */
export const makeNextVersion = async (archive: string, out: string): Promise<void> => {
  const work = await mkdtemp(`${out}-`);
  const tar = (...args: readonly string[]): Buffer =>
    execFileSync("tar", args, { stdio: ["ignore", "pipe", "inherit"] });
  const read = async <T>(name: string): Promise<T> => JSON.parse(await readFile(join(work, name), "utf8")) as T;
  try {
    tar("-C", work, "-xf", archive);
    const [saved] = await read<[Saved]>("manifest.json");
    const [below = ""] = saved.Layers;
    tar("-C", work, "-xf", join(work, below), "./app/dist");
    await renumber(join(work, "app/dist"));
    tar("-C", work, "--numeric-owner", "--mtime=@0", "-cf", join(work, "next.tar"), "./app/dist");
    const config = await read<Config>(saved.Config);
    const diff = `sha256:${createHash("sha256")
      .update(await readFile(join(work, "next.tar")))
      .digest("hex")}`;
    const rootfs = { ...config.rootfs, diff_ids: [...config.rootfs.diff_ids, diff] };
    await writeFile(join(work, "next.json"), JSON.stringify({ ...config, rootfs, history: [] }));
    const RepoTags = [saved.RepoTags[0].replace(`:${version}`, `:${NEXT_VERSION}`)];
    const manifest = [{ Config: "next.json", RepoTags, Layers: [below, "next.tar"] }];
    await writeFile(join(work, "manifest.json"), JSON.stringify(manifest));
    tar("-C", work, "-cf", out, "manifest.json", "next.json", below, "next.tar");
  } finally {
    await rm(work, { recursive: true });
  }
};

const renumber = async (folder: string): Promise<void> => {
  let found = 0;
  for (const file of globSync(`${folder}/*.{js,cjs}`)) {
    const text = await readFile(file, "utf8");
    // The bundle is minified: no space stands behind the colon.
    const next = text.replaceAll(`version:"${version}"`, `version:"${NEXT_VERSION}"`);
    if (next !== text) found += 1;
    // Another build has another hash: the caches of the former one are of another text.
    await writeFile(file, next.replaceAll(/hash:"[0-9a-f]{16}"/g, 'hash:"0000000000000000"'));
  }
  if (found !== 1) throw new Error(`the program's version stands in ${found} files of the bundle, not in one`);
};
