// The images that the test's pods run, all of one Debian root file system: stand-ins for those that the project's config
// names by default, the "flowgen" that the test's deployments run, and the webhook's own.
import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { layerOf, writeArchive } from "./images.ts";
import type { Layer } from "./images.ts";

/** Does nothing, for the kubelet: holds a pod's namespaces. */
export const PAUSE = "docker.io/flowgen-test/pause:1";
/** A flowgen that knows psql. */
export const FLOWGEN = "docker.io/flowgen-test/flowgen:1";
/** The webhook, as `npm run build` made it last. */
export const WEBHOOK = "docker.io/flowgen-test/webhook:1";

const root = join(import.meta.dirname, "../..");

/** Makes the archive with all images, the root file system once (a minute) and the webhook each time; returns its path. */
export const makeImages = async (): Promise<string> => {
  const rootfs = execFileSync(join(import.meta.dirname, "rootfs.sh"), {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  const folder = dirname(rootfs);
  const debian = await layerOf(rootfs);
  const archive = join(folder, "all.tar");
  await writeArchive(archive, [
    { name: PAUSE, layers: [debian], entrypoint: ["sleep", "infinity"] },
    { name: FLOWGEN, layers: [debian], entrypoint: ["/bin/flowgen"] },
    { name: "docker.io/alpine/socat:1.8.0.1", layers: [debian], entrypoint: ["socat"] },
    { name: "ghcr.io/linuxserver/wireguard:1.0.20250521-r1-ls105", layers: [debian], entrypoint: ["/init"] },
    {
      name: WEBHOOK,
      layers: [debian, await webhookLayer(folder)],
      entrypoint: ["node", "/app/dist/main.js"],
    },
  ]);
  return archive;
};

const webhookLayer = async (folder: string): Promise<Layer> => {
  const staging = await mkdtemp(join(folder, "webhook-"));
  const file = join(folder, "webhook.tar");
  try {
    await mkdir(join(staging, "usr/local/bin"), { recursive: true });
    await cp(join(root, "node_modules/node/bin/node"), join(staging, "usr/local/bin/node"));
    for (const path of ["dist", "package.json", ...productionModules()]) {
      await cp(join(root, path), join(staging, "app", path), { recursive: true });
    }
    execFileSync("tar", ["-C", staging, "--owner=0", "--group=0", "--mtime=@0", "-cf", file, "."]);
  } finally {
    await rm(staging, { recursive: true });
  }
  return layerOf(file);
};

const productionModules = (): readonly string[] =>
  execFileSync("npm", ["ls", "--omit=dev", "--all", "--parseable"], { cwd: root, encoding: "utf8" })
    .trim()
    .split("\n")
    .map((path) => path.slice(root.length + 1))
    .filter((path) => path !== "");
