// The server processes of one cluster, by name: their logs, and that none of them is ever left behind.
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { startDaemon } from "./daemon.ts";
import type { Daemon } from "./daemon.ts";
import { startGuard } from "./guard.ts";

export type Processes<Name extends string> = {
  /** Starts a program under this name. */
  readonly start: (name: Name, program: string, flags: readonly string[]) => Promise<void>;
  /** Ends it on purpose, if it runs, and returns when it is gone. */
  readonly end: (name: Name, signal: "SIGTERM" | "SIGKILL") => Promise<void>;
  readonly isRunning: (name: Name) => boolean;
  /** All that it has printed. */
  readonly log: (name: Name) => Promise<string>;
  /** Throws, with the last lines of its log, when one has ended that was not meant to. */
  readonly check: () => Promise<void>;
  /** Ends all processes and removes the folder. */
  readonly stop: () => Promise<void>;
};

/** Keeps processes whose logs (and more) are in this folder, which belongs to them and goes with them. */
export async function keepProcesses<Name extends string>(folder: string): Promise<Processes<Name>> {
  const guard = startGuard(folder);
  const daemons = new Map<Name, Daemon>();
  const logs = join(folder, "logs");
  await mkdir(logs);
  const logFile = (name: Name): string => join(logs, `${name}.log`);
  const tellGuard = (): void => {
    guard.watch([...daemons.values()].filter((daemon) => !daemon.ended()).map((daemon) => daemon.pid));
  };
  const log = (name: Name): Promise<string> => readFile(logFile(name), "utf8");
  return {
    log,
    isRunning: (name) => daemons.get(name)?.ended() === undefined && daemons.has(name),
    start: async (name, program, flags) => {
      daemons.set(name, await startDaemon(program, flags, logFile(name)));
      tellGuard();
    },
    end: async (name, signal) => {
      await daemons.get(name)?.end(signal);
      daemons.delete(name);
      tellGuard();
    },
    check: async () => {
      for (const [name, daemon] of daemons) {
        const how = daemon.ended();
        if (how) throw new Error(`${name} ended (${how}):\n${lastLines(await log(name))}`);
      }
    },
    stop: async () => {
      tellGuard();
      await guard.finish();
      await Promise.all([...daemons.values()].map((daemon) => daemon.end("SIGKILL")));
      await rm(folder, { recursive: true, force: true }); // the guard did, unless somebody killed it
    },
  };
}

const lastLines = (text: string): string => text.trimEnd().split("\n").slice(-5).join("\n");
