// A server process of the cluster, in the background, with its output in a file.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";

export type Daemon = {
  readonly pid: number;
  /** How it ended, or undefined as long as it runs. */
  ended(): string | undefined;
  /** Sends the signal and returns when the process is gone; after 2 s it is killed. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
};

// With open watches the API server takes up to a minute to end in order, and etcd 7 s. The harness does not wait for
// that.
const patience = 2_000;

/**
 * Before a command: the kernel then kills the process when this one is gone, after any end. Linux only (util-linux).
 */
export const tied: readonly string[] =
  spawnSync("setpriv", ["--pdeathsig", "KILL", "true"]).status === 0 ? ["setpriv", "--pdeathsig", "KILL"] : [];

/** Starts a program that outlives neither this process nor its own `end`; its output is appended to the log file. */
export async function startDaemon(program: string, flags: readonly string[], logFile: string): Promise<Daemon> {
  const [command, ...args] = [...tied, program, ...flags] as [string, ...string[]];
  const log = openSync(logFile, "a");
  // A group of its own: Ctrl-C in a terminal is for us alone, who then end things in order.
  const child = spawn(command, args, { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  await once(child, "spawn");
  const ended = once(child, "exit");
  child.unref(); // a forgotten cluster must not keep a test from ending
  return {
    pid: child.pid as number,
    ended: () => child.signalCode ?? (child.exitCode === null ? undefined : `exit code ${child.exitCode}`),
    end: async (signal) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.ref();
      child.kill(signal);
      const killer = setTimeout(() => child.kill("SIGKILL"), patience);
      await ended;
      clearTimeout(killer);
    },
  };
}
