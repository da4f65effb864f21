/**
 * The architectures of the image, and the parts of another one's: Debian's and npm's packages of it. They are downloaded
 * once and kept with the other builds.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../cache.ts";

export const ARCHITECTURES = ["amd64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];
export const OWN: Architecture = process.arch === "arm64" ? "arm64" : "amd64";

const run = (command: string, args: readonly string[], cwd: string): unknown =>
  execFileSync(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });

/** The folder of that name, which `fill` fills where it is not there yet. */
const keptFolder = (name: string, fill: (folder: string) => void): string => {
  const images = join(cacheFolder(), "images");
  const folder = join(images, name);
  if (existsSync(folder)) return folder;
  mkdirSync(images, { recursive: true });
  const fresh = mkdtempSync(`${folder}-`);
  fill(fresh);
  // Another run may have filled it meanwhile.
  if (!existsSync(folder)) renameSync(fresh, folder);
  return folder;
};

/** Apt's own state of the architecture: that of this machine is not changed. */
const aptOptions = (state: string, architecture: Architecture): readonly string[] =>
  Object.entries({
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    "APT::Sandbox::User": "root",
    "Dir::State": state,
    "Dir::State::status": "/dev/null",
    "Dir::Cache": state,
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);

/** Unpacks Debian's packages into a root file system. */
export const unpackDebian = (packages: readonly string[], root: string, architecture: Architecture): void => {
  const folder = keptFolder(`debian-${architecture}`, (fresh) => {
    const state = join(fresh, "state");
    const options = ["-qq", ...aptOptions(state, architecture)];
    for (const part of ["lists", "archives"]) mkdirSync(join(state, part, "partial"), { recursive: true });
    run("apt-get", [...options, "update"], fresh);
    run("apt-get", [...options, "download", ...packages], fresh);
    rmSync(state, { recursive: true });
  });
  const archives = readdirSync(folder).filter((file) => file.endsWith(".deb"));
  // Their paths begin with /lib, which is a link in the root.
  const script =
    'dpkg-deb --fsys-tarfile "$1" | tar -C "$2" --keep-directory-symlink --exclude="./usr/share/doc/*" -xf -';
  for (const file of archives) run("sh", ["-eu", "-c", script, "sh", join(folder, file), root], folder);
};

/** A root file system with nothing but this version of Node. Returns its folder. */
export const unpackNode = (root: string, architecture: Architecture): string => {
  const name = `node-linux-${architecture === "amd64" ? "x64" : architecture}`;
  const version = process.versions.node;
  const folder = keptFolder(`${name}-${version}`, (fresh) => {
    run("npm", ["pack", "--silent", `${name}@${version}`], fresh);
  });
  const bin = join(root, "usr/local/bin");
  mkdirSync(bin, { recursive: true });
  const archive = join(folder, `${name}-${version}.tgz`);
  run("tar", ["-C", bin, "--strip-components=2", "-xf", archive, "package/bin/node"], root);
  return root;
};
