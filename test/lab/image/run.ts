/** Runs an image that was built into a folder, as a cluster would: its own user, a read-only root, nothing of this machine. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "../../program.ts";
import { readDockerfile } from "./dockerfile.ts";

const steps = readDockerfile(readFileSync(join(root, "Dockerfile"), "utf8")).at(-1)?.steps ?? [];
const entrypoint = steps.flatMap((step) => (step.kind === "ENTRYPOINT" ? step.args : []));
const env = Object.assign({}, ...steps.flatMap((step) => (step.kind === "ENV" ? [step.values] : []))) as Record<
  string,
  string
>;

export type ImageRun = (args: readonly string[], more?: Readonly<Record<string, string>>, input?: string) => string;

/**
 * Makes the function that runs the entry point, without the hook that tap puts into NODE_OPTIONS, and returns stdout and
 * stderr. `emulator`: a static program of this machine that runs those of the image; it stands in a mount which only the
 * run has.
 */
export const imageAt = (rootfs: string, emulator?: string): ImageRun => {
  const given = emulator === undefined ? "" : 'mount -t tmpfs tmpfs "$0/boot" && cp "$1" "$0/boot" && shift && ';
  const script = `mount --bind "$0" "$0" && ${given}mount -o remount,ro,bind "$0" && exec env -u NODE_OPTIONS chroot --userspec=65532:65532 --groups= "$0" "$@" 2>&1`;
  const apart = ["--mount", "--propagation", "private", "sh", "-eu", "-c", script, rootfs];
  const through = emulator === undefined ? [] : [emulator, `/boot/${basename(emulator)}`];
  return (args, more = {}, input = "") =>
    execFileSync("unshare", [...apart, ...through, ...entrypoint, ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...env, ...more },
      encoding: "utf8",
      input,
    });
};
