/**
 * `npm run bench:start`: CPU time from the start of the program to its first answer, which a cold start costs on any machine, however busy.
 * The sources, the bundle, and the bundle with a compile cache, in turns; medians, as ratios to the sources.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "../program.ts";

const ROUNDS = 7;
const folder = mkdtempSync(join(tmpdir(), "flowgen-gateway-start-"));
const cache = { NODE_COMPILE_CACHE: join(folder, "cache") };
const body = readFileSync(join(root, "test/fixtures/reviews/review-pod-create.json"), "utf8");
const flags = ["--cluster", "memory", "--plain-http", "--host", "127.0.0.1", "--port", "0", "--metrics-port", "0"];

/** Milliseconds of CPU that all threads of a process have used. */
const cpuMs = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`)
    .map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6)
    .reduce((sum, ms) => sum + ms);

const start = async (main: string, env: Readonly<Record<string, string>>): Promise<number> => {
  const config = ["--config", join(root, "examples/webhook-config.yaml"), "--drain-seconds", "0"];
  const child = spawn(process.execPath, [main, "serve", ...flags, ...config], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let used = NaN;
  for await (const line of createInterface(child.stdout)) {
    const { msg, url } = JSON.parse(line) as { msg: string; url: string };
    if (msg !== "serving") continue;
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${url}/mutate?timeout=10s`, { method: "POST", headers, body });
    if (!answer.ok) throw new Error(await answer.text());
    used = cpuMs(child.pid ?? 0);
    child.kill("SIGTERM");
  }
  return used;
};

const variants = {
  sources: () => start(join(root, "src/main.ts"), {}),
  bundle: () => start(join(root, "dist/main.js"), {}),
  "bundle, compile cache": () => start(join(root, "dist/main.js"), cache),
};
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

try {
  await variants["bundle, compile cache"](); // fills it
  const rounds = Object.entries(variants).map(([name, run]) => ({ name, run, used: [] as number[] }));
  for (let round = 0; round < ROUNDS; round += 1) for (const { run, used } of rounds) used.push(await run());
  const baseline = median(rounds[0]?.used ?? []);
  for (const { name, used } of rounds)
    console.log(
      `${name.padEnd(22)} ${median(used).toFixed(0).padStart(5)} ms CPU  ${(median(used) / baseline).toFixed(2)} × the sources`,
    );
} finally {
  rmSync(folder, { recursive: true });
}
