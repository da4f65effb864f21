import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createAfterwards } from "../../src/server/afterwards.ts";
import { unhooked } from "../program.ts";

t.test("work is done soon, in its order, each once; at once when that is asked for", async (t) => {
  const { add, settle } = createAfterwards();
  const done: number[] = [];
  add(() => void done.push(1));
  add(() => void done.push(2));
  t.strictSame(done, []);
  await sleep(20);
  t.strictSame(done, [1, 2]);
  add(() => void done.push(3));
  settle();
  t.strictSame(done, [1, 2, 3]);
  await sleep(20);
  t.strictSame(done, [1, 2, 3]);
});

t.test("an admission that was just answered has its line, however the process exits", async (t) => {
  const script = `
    import { readFileSync } from "node:fs";
    import { createMemoryCluster } from "./src/emulator/memory.ts";
    import { createLog } from "./src/server/log.ts";
    import { startServer } from "./src/server/run.ts";
    import { configOf, scripts } from "./test/making.ts";
    const options = { version: "1", host: "127.0.0.1", port: 0, metricsPort: 0, drainSeconds: 0 };
    const config = configOf("{gateways: [{namespace: g, tunnels: [{name: wg0, secretName: s, allowedTargets: [10.0.0.0/8]}]}]}");
    const { url } = await startServer({ ...options, cluster: createMemoryCluster(), config, scripts, log: createLog("info") });
    const body = readFileSync("./test/fixtures/reviews/review-pod-create.json");
    await fetch(url + "/mutate", { method: "POST", body, headers: { "content-type": "application/json" } });
    throw new Error("a bug");`;
  const { status, stdout } = spawnSync(...unhooked(process.execPath, "--input-type=module", "-e", script));
  t.equal(status, 1);
  t.match(String(stdout), /"outcome":"inject"/);
});
