// The guard ends a cluster when the process that started it can no longer do so.
//
// A small shell process waits at the end of a pipe that only the test's process holds open. The pipe ends with that
// process (exit, exception, Ctrl-C, SIGTERM, SIGKILL). Then the guard kills the processes of the last line that it got,
// and removes the folder. An ordinary stop goes the same way, so that there is one clean-up, used every day.
import { spawn } from "node:child_process";
import { once } from "node:events";

// Each line is the whole list of living pids: a pid that ended may soon belong to another process. A process that is
// being killed can still write, so removing its folder may need a second try.
const script = `
  while read -r line; do pids=$line; done
  [ -z "$pids" ] || kill -KILL $pids
  eval "$2"
  for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && break; sleep 0.2; done`;

export type Guard = {
  /** Says which processes are to be killed from now on. */
  watch(pids: readonly number[]): void;
  /** Kills them, removes the folder, and returns when that is done. */
  finish(): Promise<void>;
};

/** Starts the guard of this folder. `also`: shell commands for what must be cleared away besides. */
export function startGuard(folder: string, also = ""): Guard {
  // A group of its own: Ctrl-C in a terminal must not end the guard.
  const child = spawn("sh", ["-c", script, "guard", folder, also], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = once(child, "exit");
  child.unref();
  child.stdin.on("error", () => undefined); // the guard was killed: our processes still die with us (see daemon.ts)
  (child.stdin as unknown as { unref(): void }).unref();
  return {
    watch: (pids) => void child.stdin.write(`${pids.join(" ")}\n`),
    finish: async () => {
      child.ref();
      child.stdin.end();
      await ended;
    },
  };
}
