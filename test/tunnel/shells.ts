// The shells that the scripts must run under. "busybox" is what Alpine gives: its ash, and its tools before all
// others; without inotifyd, as Debian builds it, so that changes are found by polling. "dash" has GNU tools and an
// inotifyd (played by inotifywait). The busybox is the PATH's first: put one built on musl there (where everybody may
// read it) to test under that.
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findCommand } from "./requirements.ts";

export type ShellName = "busybox" | "dash";
export type Shell = { readonly argv: readonly string[]; readonly env: Record<string, string> };

const notFromBusybox = ["ip", "unshare", "nsenter", "mount", "setpriv", "sysctl"]; // Alpine has these as packages of their own

export const shellNamed = (name: ShellName, directory: string): Shell => {
  mkdirSync(directory);
  const busybox = findCommand("busybox") ?? "busybox";
  const applets =
    name === "dash" ? ["nslookup"] : execFileSync(busybox, ["--list"], { encoding: "utf8" }).trim().split("\n");
  for (const applet of applets.filter((applet) => !notFromBusybox.includes(applet)))
    symlinkSync(busybox, join(directory, applet));
  if (name === "dash") {
    const play = `#!/bin/sh\nexec inotifywait -m -q -e moved_to "\${2%:y}"\n`;
    writeFileSync(join(directory, "inotifyd"), play, { mode: 0o755 });
  }
  const path = `${directory}:${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  return { argv: [name === "dash" ? "dash" : join(directory, "sh")], env: { PATH: path } };
};
