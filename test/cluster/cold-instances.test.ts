// As on Knative or Lambda: no instance runs, then ten start at the same moment. Each gets pods as soon as it serves.
// They share one table, which does not exist yet.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import t from "tap";
import { address } from "../../src/core/target.ts";
import { connectTo } from "../lab/control-plane/api.ts";
import { recordGateway, violations } from "../lab/control-plane/gateway-record.ts";
import { mutate } from "../lab/control-plane/mutate.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { ONE_TUNNEL, startScene } from "../lab/control-plane/scene.ts";
import { wishedPod, wishFor } from "../lab/control-plane/wishes.ts";
import { root } from "../program.ts";

const INSTANCES = 10;
const PODS_OF_EACH = 3;

t.test("ten cold instances at once on one table: every pod is served", async (t) => {
  const dist = join(t.testdir(), "dist");
  execFileSync(process.execPath, [join(root, "build.ts"), dist]);
  const { controlPlane, installed } = await startScene(t, { controllerManager: false, config: ONE_TUNNEL });
  const api = connectTo(controlPlane);
  t.teardown(api.close);
  const record = await recordGateway(api);
  const ports = await freePorts(INSTANCES);
  // Targets that several instances ask for, and targets of one alone; some share a port, so that their hosts have
  // Services of their own.
  const wishes = wishFor(INSTANCES * PODS_OF_EACH, "cold", (index) => (index % 3 === 0 ? 20 * index : index % 7));
  const parts = await Promise.all(
    ports.map(async (port, at) => {
      const begun = performance.now();
      const webhook = await installed.start({ port, command: [process.execPath, join(dist, "main.js")] });
      t.teardown(webhook.kill);
      const startMs = performance.now() - begun;
      const own = wishes.slice(PODS_OF_EACH * at, PODS_OF_EACH * (at + 1));
      const admitted = await Promise.all(
        own.map((wish) => mutate(new URL(webhook.url).origin, installed.ca, wishedPod(wish), 30)),
      );
      return { startMs, admitted, metrics: await webhook.metrics() };
    }),
  );
  const all = parts.flatMap(({ admitted }) => admitted);
  t.strictSame(
    all.filter(({ status, operations }) => status !== 200 || operations.length === 0),
    [],
    "no pod is refused",
  );
  await record.settled();
  t.strictSame(violations(record, []), []);
  const forwards = record.tables.at(-1)?.content.forwards ?? [];
  t.strictSame(
    forwards.map(({ targetHost, targetPort }) => address(targetHost, targetPort)).sort(),
    [...new Set(wishes.map(({ host, port }) => address(host, port)))].sort(),
  );
  for (const { metrics } of parts) {
    t.match(metrics, /^flowgen_gateway_start_duration_seconds [\d.]+$/m);
    t.match(metrics, /^flowgen_gateway_first_admission_duration_seconds [\d.]+$/m);
  }
  const longest = (values: readonly number[]): string => Math.max(...values).toFixed(0);
  t.comment(
    `${record.tables.length} table writes; the webhook's part of the 10 s, so many at once on one machine: until one serves ` +
      `at most ${longest(parts.map(({ startMs }) => startMs))} ms, an admission at most ${longest(all.map(({ ms }) => ms))} ms`,
  );
});
