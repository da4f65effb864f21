// The shells that the scripts must run under. "busybox" is what Alpine gives: its ash, built on musl (busybox.sh), and
// its tools before all others, inotifyd among them. "dash" has GNU tools and no inotifyd, so that changes are found by
// polling.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";

export type ShellName = "busybox" | "dash";
export type Shell = { readonly argv: readonly string[]; readonly env: Record<string, string> };

const notFromBusybox = ["ip", "unshare", "nsenter", "mount", "setpriv", "sysctl"]; // Alpine has these as packages of their own

export const shellNamed = (name: ShellName, directory: string): Shell => {
  mkdirSync(directory);
  const busybox = join(directory, "busybox"); // where the container without privileges may read it
  copyFileSync(muslBusybox(), busybox);
  const applets =
    name === "dash" ? ["nslookup"] : execFileSync(busybox, ["--list"], { encoding: "utf8" }).trim().split("\n");
  for (const applet of applets.filter((applet) => applet !== "busybox" && !notFromBusybox.includes(applet)))
    symlinkSync(busybox, join(directory, applet));
  const path = `${directory}:${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  return { argv: [name === "dash" ? "dash" : join(directory, "sh")], env: { PATH: path } };
};

const muslBusybox = (): string =>
  execFileSync(join(import.meta.dirname, "busybox.sh"), {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
