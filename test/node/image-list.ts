// The images that the test's pods run, on one Debian root file system: stand-ins for those that the project's config names by
// default, the "flowgen" that the test's deployments run, and the webhook as `npm run build` made it last.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { version } from "../../src/files.ts";
import { layerOf, writeArchive } from "./images.ts";
import type { Layer } from "./images.ts";

/** Does nothing, for the kubelet: holds a pod's namespaces. */
export const PAUSE = "docker.io/flowgen-test/pause:1";
/** A flowgen that knows psql. */
export const FLOWGEN = "docker.io/flowgen-test/flowgen:1";

/** The webhook, under the name that the chart has by default. */
const WEBHOOK = `ghcr.io/connve/flowgen-gateway-webhook:${version}`;

const root = join(import.meta.dirname, "../..");

/** Makes the archives of all images and returns their paths: the tools' once (a minute), the webhook's each time. */
export const makeImages = async (): Promise<readonly string[]> => {
  const rootfs = execFileSync(join(import.meta.dirname, "rootfs.sh"), {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  const debian = await layerOf(rootfs);
  const tools = rootfs.replace(/rootfs\.tar$/, `tools-${debian.digest.slice(-12)}.tar`);
  if (!existsSync(tools)) {
    await writeArchive(tools, [
      { name: PAUSE, layers: [debian], entrypoint: ["sleep", "infinity"] },
      { name: FLOWGEN, layers: [debian], entrypoint: ["/bin/flowgen"] },
      { name: "docker.io/alpine/socat:1.8.0.1", layers: [debian], entrypoint: ["socat"] },
      { name: "ghcr.io/linuxserver/wireguard:1.0.20250521-r1-ls105", layers: [debian], entrypoint: ["/init"] },
    ]);
  }
  const webhook = join(dirname(rootfs), "webhook.tar");
  const layers = [debian, await webhookLayer(dirname(rootfs))];
  await writeArchive(webhook, [{ name: WEBHOOK, layers, entrypoint: ["node", "/app/dist/main.js"] }]);
  return [tools, webhook];
};

/** Node and the bundle, where the Dockerfile puts them. */
const webhookLayer = async (folder: string): Promise<Layer> => {
  const staging = await mkdtemp(join(folder, "webhook-"));
  const file = join(folder, "webhook-layer.tar");
  try {
    await mkdir(join(staging, "usr/local/bin"), { recursive: true });
    await cp(process.execPath, join(staging, "usr/local/bin/node"));
    await cp(join(root, "dist"), join(staging, "app/dist"), { recursive: true });
    execFileSync("tar", ["-C", staging, "--owner=0", "--group=0", "--mtime=@0", "-cf", file, "."]);
  } finally {
    await rm(staging, { recursive: true });
  }
  return layerOf(file);
};
