/**
 * Runs the Dockerfile's steps without a container engine, as root on Debian 12: stages are directories, a RUN is a
 * chroot. Images that cannot be pulled are replaced by parts of this machine. The Node image is this machine's file
 * system, as an overlay that changes nothing of it, with the Node 24 of node_modules. The distroless base is the files
 * of the same Debian packages.
 *
 * To be called in a mount namespace of its own, which takes the mounts away with it.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Architecture, OWN, unpackDebian, unpackNode } from "./architecture.ts";
import type { BuildStage, Step } from "./dockerfile.ts";

/** The parts of an image in a container engine: its files, and how they are run. */
export type Image = {
  readonly architecture: Architecture;
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly user: string;
  readonly ports: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
};

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const sh = (command: string, ...args: readonly string[]): string =>
  execFileSync("sh", ["-eu", "-c", command, "sh", ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

type Build = {
  /** Where COPY takes files from. */
  readonly context: string;
  /** An empty folder. */
  readonly work: string;
  readonly architecture: Architecture;
};

/** Builds the last stage. */
export const buildImage = (stages: readonly BuildStage[], { context, work, architecture }: Build): Image => {
  sh('mount -t tmpfs tmpfs "$1"', work);
  const built = new Map<string, Image>();
  let image: Image | undefined;
  for (const [index, { base, name, isOfBuilder, steps }] of stages.entries()) {
    image = baseOf(base, join(work, String(index)), isOfBuilder ? OWN : architecture);
    for (const step of steps) image = run(step, image, context, built);
    built.set(name ?? String(index), image);
  }
  if (image === undefined) throw new Error("the Dockerfile has no stage");
  return image;
};

const baseOf = (base: string, folder: string, architecture: Architecture): Image => {
  const isNode = /^node:24\.[\w.]+-bookworm-slim$/.test(base);
  if (!isNode && !/^gcr\.io\/distroless\/cc-debian12:nonroot$/.test(base))
    throw new Error(`Dockerfile: there is no stand-in for the base ${base}`);
  const makeRoot = isNode ? (architecture === OWN ? hostWithNode : unpackNode) : distroless;
  const root = makeRoot(folder, architecture);
  return {
    architecture,
    root,
    env: { PATH },
    cwd: "/",
    user: isNode ? "0" : "65532",
    ports: [],
    entrypoint: [],
    cmd: [],
  };
};

const hostWithNode = (folder: string): string => {
  const [node, upper, work, root] = ["node", "upper", "work", "root"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ];
  [`${node}/usr/local/bin`, upper, work, root].forEach((path) => mkdirSync(path, { recursive: true }));
  copyFileSync(process.execPath, `${node}/usr/local/bin/node`);
  sh('mount -t overlay overlay -o "lowerdir=$1:/,upperdir=$2,workdir=$3" "$4"', node, upper, work, root);
  // Devices of its own: the machine's devices are not in this folder.
  sh(
    'for device in null:3 zero:5 random:8 urandom:9; do mknod -m 666 "$1/dev/${device%:*}" c 1 "${device#*:}"; done',
    root,
  );
  sh('mount -t proc -o ro proc "$1/proc"', root);
  return root;
};

const PACKAGES = ["base-files", "netbase", "tzdata", "libc6", "libgcc-s1", "libstdc++6"];
const distroless = (root: string, architecture: Architecture): string => {
  for (const folder of ["bin", "sbin", "lib", "lib64"]) {
    mkdirSync(join(root, "usr", folder), { recursive: true });
    symlinkSync(`usr/${folder}`, join(root, folder));
  }
  if (architecture !== OWN) unpackDebian(PACKAGES, root, architecture);
  else
    sh(
      'root=$1; shift; dpkg -L "$@" | tar -C / --no-recursion --exclude="/usr/share/doc/*" -cf - -T - 2>/dev/null | tar -C "$root" --keep-directory-symlink -xf -',
      root,
      ...PACKAGES,
    );
  const users = ["root:x:0:0:root:/root:/sbin/nologin", "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin"];
  writeFileSync(join(root, "etc/passwd"), `${users.join("\n")}\n`);
  writeFileSync(join(root, "etc/group"), "root:x:0:\nnonroot:x:65532:\n");
  return root;
};

const run = (step: Step, image: Image, context: string, built: ReadonlyMap<string, Image>): Image => {
  switch (step.kind) {
    case "RUN":
      if (image.architecture === OWN) runIn(image, step.command);
      return image;
    case "COPY":
      copy(step.sources, sourceRoot(step.from, context, built), step.to, image);
      return image;
    case "ENV":
      return { ...image, env: { ...image.env, ...step.values } };
    case "WORKDIR":
      mkdirSync(join(image.root, step.value), { recursive: true });
      return { ...image, cwd: step.value };
    case "USER":
      return { ...image, user: step.value };
    case "EXPOSE":
      return { ...image, ports: [...image.ports, ...step.ports] };
    case "ENTRYPOINT":
      return { ...image, entrypoint: step.args };
    case "CMD":
      return { ...image, cmd: step.args };
  }
};

/** The registry of this machine's npm, which an engine would have in its own settings. */
const NETWORK = /^(npm_config_registry|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)$/i;

/**
 * Runs a command in an image, as its user, with its env, and of this process's env only the settings of the network.
 * Returns its output.
 */
export const runIn = ({ root, env, cwd, user }: Image, command: string): string => {
  const [uid = "0", gid = uid] = user.split(":");
  const network = Object.fromEntries(Object.entries(process.env).filter(([name]) => NETWORK.test(name)));
  const chroot = [
    "chroot",
    `--userspec=${uid}:${gid}`,
    "--groups=",
    root,
    "/bin/sh",
    "-c",
    `cd "$0" && ${command}`,
    cwd,
  ];
  return execFileSync("env", chroot, {
    env: { HOME: uid === "0" ? "/root" : "/", ...network, ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
};

const sourceRoot = (from: string | undefined, context: string, built: ReadonlyMap<string, Image>): string => {
  const root = from === undefined ? context : built.get(from)?.root;
  if (root === undefined) throw new Error(`Dockerfile: there is no stage ${from ?? ""}`);
  return root;
};

/** As COPY does: a folder's contents go into the target, a file into the target folder or to its name. */
const copy = (sources: readonly string[], from: string, to: string, { root, cwd }: Image): void => {
  const target = join(root, to.startsWith("/") ? to : join(cwd, to));
  for (const source of sources) {
    const path = join(from, source);
    if (!existsSync(path)) throw new Error(`Dockerfile: COPY ${source}: there is no such file`);
    const isFolder = statSync(path).isDirectory();
    const end = isFolder || !(to.endsWith("/") || sources.length > 1) ? target : join(target, basename(source));
    mkdirSync(isFolder ? end : join(end, ".."), { recursive: true });
    // The owner stays: COPY --from keeps it; what comes from the context is root's in an engine, and here whose it is.
    sh('cp -a "$1" "$2"', isFolder ? `${path}/.` : path, end);
  }
};
