// Container images without a registry: the root file system of rootfs.sh, with layers on it. They are an archive for
// `ctr images import` (an OCI image layout in a tar file).
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { link, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { OWN } from "../image/architecture.ts";

export type Layer = { readonly file: string; readonly digest: string; readonly size: number };
export type NodeImage = {
  /** The whole reference, `docker.io/…` included: so the kubelet's container runtime looks it up. */
  readonly name: string;
  /** Lowest first. */
  readonly layers: readonly Layer[];
  readonly entrypoint: readonly string[];
};

/** A tar file as a layer. */
export const layerOf = async (file: string): Promise<Layer> => {
  const hash = createHash("sha256");
  let size = 0;
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      hash.update(chunk);
      size += chunk.length;
    }
  });
  return { file, digest: `sha256:${hash.digest("hex")}`, size };
};

/** Writes an archive with these images into a folder on the layers' own file system. */
export const writeImages = async (archive: string, images: readonly NodeImage[]): Promise<void> => {
  const folder = await mkdtemp(`${archive}.`);
  const blobs = join(folder, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const pathOf = (digest: string): string => join(blobs, digest.replace("sha256:", ""));
  const write = async (content: unknown): Promise<Blob> => {
    const text = JSON.stringify(content);
    const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
    await writeFile(pathOf(digest), text);
    return { digest, size: Buffer.byteLength(text) };
  };
  try {
    const layers = new Map(images.flatMap((image) => image.layers).map((layer) => [layer.digest, layer]));
    for (const { file, digest } of layers.values()) await link(file, pathOf(digest));
    const manifests: unknown[] = [];
    for (const image of images) manifests.push(await writeManifest(image, write));
    await writeFile(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    await writeFile(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
    const whole = join(folder, "archive.tar"); // whoever finds the archive finds all of it
    execFileSync("tar", ["-C", folder, "-cf", whole, "oci-layout", "index.json", "blobs"]);
    await rename(whole, archive);
  } finally {
    await rm(folder, { recursive: true });
  }
};

type Blob = { readonly digest: string; readonly size: number };

const OCI = "application/vnd.oci.image";

const writeManifest = async (image: NodeImage, write: (content: unknown) => Promise<Blob>): Promise<unknown> => {
  const config = await write({
    architecture: OWN,
    os: "linux",
    config: {
      Entrypoint: image.entrypoint,
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      // Two images that differ in nothing but their name would be one.
      Labels: { "org.opencontainers.image.title": image.name },
    },
    rootfs: { type: "layers", diff_ids: image.layers.map(({ digest }) => digest) },
  });
  const manifest = await write({
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: { mediaType: `${OCI}.config.v1+json`, ...config },
    layers: image.layers.map(({ digest, size }) => ({ mediaType: `${OCI}.layer.v1.tar`, digest, size })),
  });
  return {
    mediaType: `${OCI}.manifest.v1+json`,
    ...manifest,
    annotations: { "io.containerd.image.name": image.name },
  };
};
