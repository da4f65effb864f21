// The gateway's pod: two containers on the pod's network, each with its own processes and capabilities. The volumes are
// laid out as by a kubelet.
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { READY_PORT } from "../../../src/core/forwards/ports.ts";
import { tryRun, run, startOn, type Started } from "./hosts.ts";
import type { Network } from "./network.ts";
import { shellNamed, type ShellName } from "./shells.ts";
import { until } from "../../wait.ts";

export type GatewayPart = "tunnel" | "forward";
export type LabGateway = {
  readonly directory: string;
  readonly setSecret: (tunnel: string, text: string | Buffer | undefined) => void;
  readonly setForwards: (...lines: readonly string[]) => void;
  // The Deployments of the gateway, beside the forwards.
  readonly setSiblings: (...names: readonly string[]) => void;
  readonly start: (container: GatewayPart) => void;
  readonly stop: (container: GatewayPart, signal: NodeJS.Signals) => Promise<number>;
  // To a process that a container's first one started, found by a part of its command line.
  readonly signal: (container: GatewayPart, part: string, signal: NodeJS.Signals) => void;
  // Of all processes of a running container.
  readonly processes: (container: GatewayPart) => Promise<readonly number[]>;
  // The kubelet's probes.
  readonly isReady: () => boolean;
  readonly isAlive: (container: GatewayPart) => boolean;
  // Waits until new connections to this port take the way that the test is about.
  readonly inForce: (port: number) => Promise<void>;
  readonly log: () => Promise<string>;
};
type Test = { readonly teardown: (handler: () => Promise<void>) => unknown };
export const DRAIN_SECONDS = 5;
export type Forwarder = "socat" | "kernel";
export const forwarders: readonly Forwarder[] = ["socat", "kernel"];
// Every shell, and every forwarder.
export const variants: readonly { readonly shell: ShellName; readonly forwarder: Forwarder }[] = [
  { shell: "busybox", forwarder: "socat" },
  { shell: "dash", forwarder: "socat" },
  { shell: "busybox", forwarder: "kernel" },
];
type Options = {
  readonly shell?: ShellName;
  readonly forwarder?: Forwarder;
  readonly env?: Record<string, string>;
  readonly tunnels?: readonly string[];
};

const scripts = resolve(import.meta.dirname, "../../../src/gateway");
// The privileges by the containers' security contexts: NET_ADMIN alone; another user and none at all. (--pdeathsig
// again, because a change of user takes it away.)
const privileges = {
  init: ["setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--no-new-privs"],
  tunnel: ["setpriv", "--bounding-set=-all,+net_admin", "--no-new-privs"],
  forward: [
    ...["setpriv", "--pdeathsig", "KILL", "--reuid=65534", "--regid=65534", "--clear-groups"],
    ...["--bounding-set=-all", "--no-new-privs"],
  ],
} as const;

export const startGateway = (t: Test, network: Network, options: Options = {}): LabGateway => {
  const directory = mkdtempSync(join(tmpdir(), "flowgen-gateway-"));
  chmodSync(directory, 0o755);
  t.teardown(async () => {
    rmSync(directory, { recursive: true, force: true });
    await Promise.resolve();
  });
  const path = (...names: string[]): string => join(directory, ...names);
  for (const name of ["table", "tunnels", "run", "up", "tmp", "scripts"]) mkdirSync(path(name));
  const tunnels = options.tunnels ?? ["wg0"];
  for (const tunnel of tunnels) mkdirSync(path("tunnels", tunnel));
  chmodSync(path("tmp"), 0o777);

  const shell = shellNamed(options.shell ?? "busybox", path("bin"));
  const env = {
    ...shell.env,
    TUNNELS_DIR: path("tunnels"),
    RUN_DIR: path("run"),
    UP_DIR: path("up"),
    FORWARDS_FILE: path("table", "forwards"),
    SIBLINGS_FILE: path("table", "siblings"),
    STATE_DIR: path("tmp", "forwards"),
    SCRIPTS_DIR: path("scripts"),
    TERMINATION_LOG: path("termination-log"),
    TUNNELS: tunnels.map((tunnel) => `${tunnel} wireguard-${tunnel} ${tunnel}.conf`).join("\n"),
    FORWARDER: options.forwarder ?? "socat",
    DRAIN: `${DRAIN_SECONDS}`,
    ...options.env,
  };
  const running = new Map<GatewayPart, Started>();
  const logs: Started[] = [];
  const container = (name: GatewayPart | "init", ...argv: string[]): string[] => [
    ...["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"],
    ...["sh", "-c", `mount -o bind,ro /proc/sys /proc/sys && exec "$@"`, "sh"], // as it is where nobody is privileged
    ...privileges[name],
    ...shell.argv,
    ...argv,
  ];
  // Where the kernel is to forward, its node (or a privileged pod) lets the init container set that.
  const init = [...shell.argv, join(scripts, "init.sh")];
  const asInit = options.forwarder === "kernel" ? init : container("init", join(scripts, "init.sh"));
  run(network.pod, asInit.map((word) => `'${word}'`).join(" "), { env });
  const started = (name: GatewayPart): Started => {
    const container = running.get(name);
    if (container === undefined) throw new Error(`${name} does not run`);
    return container;
  };
  return {
    directory,
    setSecret: (tunnel, text) => {
      swap(path("tunnels", tunnel), `${tunnel}.conf`, text, 0o400); // as the manifests mount it
    },
    setForwards: (...lines) => {
      swap(path("table"), "forwards", lines.map((line) => `${line}\n`).join(""), 0o644);
    },
    setSiblings: (...names) => writeFileSync(path("table", "siblings"), names.map((name) => `${name}\n`).join("")),
    start: (name) => {
      const first = startOn(network.pod, container(name, path("scripts", `${name}.sh`)), { env });
      running.set(name, first);
      logs.push(first);
    },
    stop: async (name, signal) => {
      const begun = performance.now();
      process.kill(await firstChild(started(name)), signal);
      await started(name).ended;
      return Math.round(performance.now() - begun);
    },
    signal: (name, part, signal) => {
      const children = run(network.pod, `ps -o pid=,args= --ppid ${firstChildNow(started(name))}`).split("\n");
      const found = children.find((line) => line.includes(part));
      if (found === undefined) throw new Error(`no ${part} in ${children.join("; ")}`);
      process.kill(Number(found.trim().split(" ")[0]), signal);
    },
    processes: async (name) => {
      const namespace = readlinkSync(`/proc/${await firstChild(started(name))}/ns/pid`);
      return readdirSync("/proc")
        .filter((entry) => /^\d+$/.test(entry) && namespaceOf(entry) === namespace)
        .map(Number);
    },
    isReady: () => tryRun(network.node, `socat -u OPEN:/dev/null TCP4:${network.address}:${READY_PORT}`).status === 0,
    isAlive: (name) => {
      const probe = [...privileges[name], ...shell.argv, path("scripts", "probe.sh"), name];
      return tryRun(network.pod, probe.join(" "), { env }).status === 0;
    },
    inForce: async (port) => {
      if (options.forwarder !== "kernel") return;
      const rules = "iptables -w -t nat -S FLOWGEN-PREROUTING; ip6tables -w -t nat -S FLOWGEN-PREROUTING";
      await until(`rules for port ${port}`, () =>
        tryRun(network.pod, rules).output.includes(`--dport ${port} -j DNAT`),
      );
    },
    log: async () => {
      await sleep(50); // what was written while a test step blocked is read now
      return logs.map((process) => process.output()).join("");
    },
  };
};

/** A process may be gone by now. */
const namespaceOf = (pid: string): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
};

// unshare's child is PID 1 of the container.
const firstChildNow = (process: Started): number | undefined => {
  const child = Number(readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim());
  return child > 0 ? child : undefined;
};
const firstChild = async (process: Started): Promise<number> => {
  await until("the container's first process", () => firstChildNow(process) !== undefined);
  return firstChildNow(process) ?? 0;
};

// A kubelet's atomic update: a new directory, then the symlink ..data is renamed over the old one.
let version = 0;
const swap = (volume: string, file: string, text: string | Buffer | undefined, mode: number): void => {
  const next = `..version-${(version += 1)}`;
  const old = readdirSync(volume).filter((name) => name.startsWith("..version-"));
  mkdirSync(join(volume, next));
  if (text !== undefined) writeFileSync(join(volume, next, file), text, { mode });
  symlinkSync(next, join(volume, "..tmp"));
  renameSync(join(volume, "..tmp"), join(volume, "..data"));
  if (text === undefined) rmSync(join(volume, file), { force: true });
  else if (!readdirSync(volume).includes(file)) symlinkSync(join("..data", file), join(volume, file));
  for (const name of old) rmSync(join(volume, name), { recursive: true });
};
