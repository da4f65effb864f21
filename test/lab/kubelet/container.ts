// A container without a container runtime: a process in a mount namespace of its own, on a read-only root. The root
// holds the machine's programs, the project under /app in the image's stead, and the pod's volumes. User and privileges
// are those of the pod's spec.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { createInterface } from "node:readline";
import { root } from "../../program.ts";

/** The parts of a pod's spec that the chart sets and this container keeps. */
export type ContainerSpec = {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Where a folder of this machine is mounted, read-only. */
  readonly mounts: Readonly<Record<string, string>>;
  readonly user: number;
  readonly group: number;
  readonly readOnlyRoot: boolean;
};

export type PlayedLogLine = Readonly<Record<string, unknown>>;
export type PlayedContainer = {
  readonly process: ChildProcess;
  /** Lines of the log that are JSON objects; others as `{text}`. */
  readonly log: readonly PlayedLogLine[];
};

// The folders of the machine that programs need; /app is what the image would hold.
const script = `
  set -e
  fs=$1; mode=$2; shift 2
  mount -t tmpfs tmpfs "$fs"
  bind() { mkdir -p "$fs$2"; mount --bind "$1" "$fs$2"; mount -o remount,bind,ro "$fs$2"; }
  for folder in /usr /bin /sbin /lib /lib64; do
    if [ -L "$folder" ]; then cp -P "$folder" "$fs$folder"; elif [ -d "$folder" ]; then bind "$folder" "$folder"; fi
  done
  mkdir -p "$fs/proc" "$fs/dev"
  mount --bind /proc "$fs/proc"
  mount --bind /dev "$fs/dev"
  while [ "$1" != -- ]; do bind "$1" "$2"; shift 2; done
  shift
  [ "$mode" = rw ] || mount -o remount,ro "$fs"
  user=$1; group=$2; shift 2
  exec chroot "$fs" setpriv --pdeathsig KILL --reuid "$user" --regid "$group" --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all env -i "$@"`;
const ENTRY_POINT = ["/app/node_modules/node/bin/node", "/app/src/main.ts"];

/** Starts it; `folder` is where its root file system is put together. Needs root. */
export const startContainer = async (folder: string, spec: ContainerSpec): Promise<PlayedContainer> => {
  await mkdir(folder, { recursive: true });
  const mounts = Object.entries({ "/app": root, ...spec.mounts }).flatMap(([path, source]) => [source, path]);
  const mode = spec.readOnlyRoot ? "ro" : "rw";
  const ids = [String(spec.user), String(spec.group)];
  const env = Object.entries(spec.env).map(([name, value]) => `${name}=${value}`);
  const child = spawn(
    "unshare",
    [
      "--mount",
      "sh",
      "-c",
      script,
      "container",
      folder,
      mode,
      ...mounts,
      "--",
      ...ids,
      ...env,
      ...ENTRY_POINT,
      ...spec.args,
    ],
    { cwd: "/", stdio: ["ignore", "pipe", "pipe"] },
  );
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
  const log: PlayedLogLine[] = [];
  for (const input of [child.stdout, child.stderr])
    createInterface({ input }).on("line", (line) => log.push(read(line)));
  return { process: child, log };
};

const read = (line: string): PlayedLogLine => {
  try {
    return JSON.parse(line) as PlayedLogLine;
  } catch {
    return { text: line };
  }
};
