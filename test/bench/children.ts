// The CPU time of this process and of those that it has started, as Linux counts it.
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";

/** Seconds by program; `self` is this process, `ended` its children that are gone. */
export type CpuTimes = ReadonlyMap<string, number>;

/** Of the times in /proc, on all of Linux's architectures. */
const USER_HZ = 100;

/** By /proc/PID/stat: the parent, and the CPU seconds of the process and of its children that are gone. */
export const statOf = (
  pid: string | number,
): { readonly parent: number; readonly own: number; readonly ended: number } => {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [parent = 0, user = 0, system = 0, endedUser = 0, endedSystem = 0] = [1, 11, 12, 13, 14].map(
    (at) => fields[at],
  );
  return { parent, own: (user + system) / USER_HZ, ended: (endedUser + endedSystem) / USER_HZ };
};

export const cpuTimes = (): CpuTimes => {
  const { own, ended } = statOf("self");
  const times = new Map([
    ["self", own],
    ["ended", ended],
  ]);
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = statOf(pid);
      if (stat.parent !== process.pid) continue;
      const [program = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      times.set(basename(program), (times.get(basename(program)) ?? 0) + stat.own);
    } catch {
      continue; // it is gone by now
    }
  }
  return times;
};

/** `etcd 1.2, node 3.4`: the seconds of CPU time since then. */
export const cpuSince = (before: CpuTimes): string =>
  [...cpuTimes()].map(([program, time]) => `${program} ${(time - (before.get(program) ?? 0)).toFixed(1)}`).join(", ");
