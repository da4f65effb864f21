// A host is a network namespace with a mount namespace of its own, held by one process. Every process that a test
// starts dies with the test process (pdeathsig), and its namespaces, links, rules and mounts die with it.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { until } from "../../wait.ts";

export type Host = { readonly name: string; readonly pid: number; readonly processes: Started[] };
export type Started = {
  readonly pid: number;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
  kill: (signal?: NodeJS.Signals) => void;
};
type Options = { readonly env?: Record<string, string>; readonly input?: string };

const dieWithParent = ["setpriv", "--pdeathsig", "KILL"];
const enter = (host: Host): string[] => ["--target", `${host.pid}`, "--net", "--mount", `--wd=${process.cwd()}`];

export const startHost = async (name: string): Promise<Host> => {
  const holder = start([
    ...dieWithParent,
    "unshare",
    "--net",
    "--mount",
    "--propagation",
    "private",
    "sleep",
    "infinity",
  ]);
  const host = { name, pid: holder.pid, processes: [holder] };
  await until(`namespaces of ${name}`, () => readFileSync(`/proc/${holder.pid}/comm`, "utf8") === "sleep\n");
  run(host, "mount -t tmpfs tmpfs /run; mount -t sysfs sysfs /sys; ip link set lo up; mkdir -p /run/wireguard");
  return host;
};

export const stopHost = async (host: Host): Promise<void> => {
  for (const process of host.processes.toReversed()) {
    process.kill("SIGKILL");
    await process.ended;
  }
};

// Runs a script to its end and returns what it printed; a failure is an error that holds everything.
export const run = (host: Host, script: string, options: Options = {}): string => {
  const result = tryRun(host, script, options);
  if (result.status !== 0)
    throw new Error(`${host.name}: ${script}\nexit ${result.status ?? "by signal"}\n${result.output}`);
  return result.output;
};

export const tryRun = (
  host: Host,
  script: string,
  options: Options = {},
): { status: number | null; output: string } => {
  const [command, ...args] = ["nsenter", ...enter(host), "sh", "-c", script] as const;
  const env = { ...process.env, ...options.env };
  const result = spawnSync(command, args, { env, encoding: "utf8", input: options.input ?? "", maxBuffer: 64e6 });
  return { status: result.status, output: result.stdout + result.stderr };
};

export const startOn = (host: Host, command: readonly string[], options: Options = {}): Started => {
  const started = start([...dieWithParent, "nsenter", ...enter(host), ...command], options);
  host.processes.push(started);
  return started;
};

const start = (argv: readonly string[], options: Options = {}): Started => {
  const [command = "", ...args] = argv;
  const child = spawn(command, args, { env: { ...process.env, ...options.env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  if (child.pid === undefined) throw new Error(`cannot start ${argv.join(" ")}`);
  return { pid: child.pid, output: () => output, ended: ended(child), kill: (signal) => void child.kill(signal) };
};

const ended = async (child: ChildProcess): Promise<number | null> => {
  const [code] = (await once(child, "exit")) as [number | null];
  return code;
};
