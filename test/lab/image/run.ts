/** Runs an image that was built into a folder, as a cluster would: its own user, a read-only root, nothing of this machine. */
import { execFileSync } from "node:child_process";
import { basename } from "node:path";
import { ENTRY_POINT, IMAGE_ENV } from "./entry-point.ts";

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
    execFileSync("unshare", [...apart, ...through, ...ENTRY_POINT, ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...IMAGE_ENV, ...more },
      encoding: "utf8",
      input,
    });
};
