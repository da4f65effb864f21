// `node test/lab/node/main.ts COMMAND…`: runs a command on a machine of its own, in which node.ts can start a
// Kubernetes node. The machine is namespaces for network, mounts, processes, host name and IPC, without a route to
// outside. Needs root, and what requirements.ts says.
//
// After any end nothing is left behind: the namespaces hold every process, mount, link and rule, and end with their PID
// 1. A guard then removes the folder and the cgroups.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startGuard } from "../control-plane/guard.ts";
import { checkNodeRequirements } from "./requirements.ts";

const CGROUPS = "/sys/fs/cgroup/*/flowgen-node-test";
// The kernel empties them a moment after their processes have died.
const removeCgroups = `
  for _ in $(seq 100); do
    find ${CGROUPS} -depth -type d -exec rmdir {} + 2>/dev/null
    ls -d ${CGROUPS} >/dev/null 2>&1 || break
    sleep 0.1
  done`;

const enter = async (command: readonly string[]): Promise<number> => {
  checkNodeRequirements();
  const folder = await mkdtemp(join(tmpdir(), "flowgen-test-node-"));
  const guard = startGuard(folder, removeCgroups);
  const namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc"];
  const init = [join(import.meta.dirname, "namespaces.sh"), folder, ...command];
  const child = spawn("unshare", [...namespaces, "--fork", "--kill-child", "--mount-proc", ...init], {
    env: { ...process.env, FLOWGEN_NODE_FOLDER: folder },
    stdio: "inherit",
  });
  guard.watch([child.pid as number]);
  // unshare passes no signal on; what it holds ends with the guard.
  const stopped = new Promise<number>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve(130));
    const parent = process.ppid;
    setInterval(() => process.ppid === parent || resolve(130), 1_000).unref();
  });
  const ended = (once(child, "exit") as Promise<[number | null]>).then(([code]) => code ?? 1);
  const code = await Promise.race([ended, stopped]);
  guard.watch(child.exitCode === null && child.signalCode === null ? [child.pid as number] : []);
  await guard.finish();
  return code;
};

try {
  process.exitCode = await enter(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
