// The images of the test's pods, on one Debian root file system. They are stand-ins for the config's default images,
// and the "flowgen" of the test's deployments. The webhook's is the one that ships (webhook-image.ts).
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Layer, layerOf, writeImages } from "./images.ts";
import { makeNextVersion, WEBHOOK_IMAGE } from "./webhook-image.ts";

/** Does nothing, for the kubelet: holds a pod's namespaces. */
export const PAUSE = "docker.io/flowgen-test/pause:1";
/** A flowgen that knows psql. */
export const FLOWGEN = "docker.io/flowgen-test/flowgen:1";

/** The root file system of all images, made once (a minute). */
export const debianLayer = (): Promise<Layer> => {
  const script = join(import.meta.dirname, "rootfs.sh");
  return layerOf(execFileSync(script, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim());
};

/** Makes the archives of all images and returns their paths: the tools' once, the webhook's next version each time. */
export const makeImages = async (): Promise<readonly string[]> => {
  const debian = await debianLayer();
  const tools = debian.file.replace(/rootfs\.tar$/, `tools-${debian.digest.slice(-12)}.tar`);
  if (!existsSync(tools)) {
    await writeImages(tools, [
      { name: PAUSE, layers: [debian], entrypoint: ["sleep", "infinity"] },
      { name: FLOWGEN, layers: [debian], entrypoint: ["/bin/flowgen"] },
      { name: "docker.io/alpine/socat:1.8.0.1", layers: [debian], entrypoint: ["socat"] },
      { name: "ghcr.io/linuxserver/wireguard:1.0.20250521-r1-ls105", layers: [debian], entrypoint: ["/init"] },
    ]);
  }
  const next = WEBHOOK_IMAGE.replace(/\.tar$/, "-next.tar");
  await makeNextVersion(WEBHOOK_IMAGE, next);
  return [tools, WEBHOOK_IMAGE, next];
};
