// A machine of its own leaves nothing behind on this one after any end.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { leftovers } from "../lab/node/leftovers.ts";
import { until } from "../wait.ts";

const main = join(import.meta.dirname, "../lab/node/main.ts");
const begin = (...command: readonly string[]) =>
  spawn(process.execPath, [main, ...command], { stdio: ["ignore", "ignore", "inherit"] });

t.test("it ends with its command, whose exit code it passes on", async (t) => {
  const [code] = (await once(begin("sh", "-c", "exit 3"), "exit")) as [number | null];
  t.equal(code, 3);
  t.strictSame(leftovers(), []);
});

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
  t.test(`nothing is left when it gets ${signal}`, async (t) => {
    const owner = begin("sh", "-c", "sleep 1000");
    t.teardown(() => owner.kill("SIGKILL"));
    await until("the machine runs", () => existsSync("/sys/fs/cgroup/pids/flowgen-node-test"), 60_000);
    owner.kill(signal);
    await once(owner, "exit");
    await until(
      () => `left: ${leftovers().join(", ")}`,
      () => leftovers().length === 0,
      10_000,
    );
  });
}
