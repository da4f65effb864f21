/** Starts a program as a platform does, waits for its first answer, and measures that. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createInterface } from "node:readline";
import { send } from "../../server/client.ts";

export type MeasuredStart = {
  /** Milliseconds from the start of the process to the answer: by the clock, and of all its threads on a processor. */
  readonly ms: number;
  readonly cpuMs: number;
  /** MiB of memory that the process holds when nothing has been asked for a while. */
  readonly restMiB: number;
  readonly answer: string;
};

export type StartCommand = { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> };

/** From the answer to the look at the memory. */
const REST_MS = 2000;

/** Runs Node with these arguments until it has answered `body`. Throws for any other answer than 200. */
export const started = async ({ args, env }: StartCommand, body: string): Promise<MeasuredStart> => {
  const begun = performance.now();
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  try {
    const url = await servingAt(createInterface(child.stdout));
    const { status, body: answer } = await send(`${url}/mutate?timeout=10s`, { body });
    const ms = performance.now() - begun;
    const cpuMs = usedBy(child.pid ?? 0);
    if (status !== 200) throw new Error(`${status} ${answer}`);
    await sleep(REST_MS);
    return { ms, cpuMs, restMiB: heldBy(child.pid ?? 0), answer };
  } finally {
    child.kill("SIGTERM");
    await exited;
  }
};

const servingAt = async (lines: AsyncIterable<string>): Promise<string> => {
  for await (const line of lines) {
    const { msg, url } = JSON.parse(line) as { msg: string; url: string };
    if (msg === "serving") return url;
  }
  throw new Error("it ended before it served");
};

const usedBy = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`)
    .map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6)
    .reduce((sum, ms) => sum + ms);

const heldBy = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
