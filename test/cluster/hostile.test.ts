// A hostile tenant and a stranger on the port, beside honest pods on a real API server. No honest pod is refused, and
// they wait little longer.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import t from "tap";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { connect } from "../../src/cluster/kubernetes.ts";
import type { Attack } from "../bench/hostile/attacker.ts";
import { flowgenPod, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";

/** Of each part. An hour with SOAK_SECONDS=1200. */
const SECONDS = Number(process.env["SOAK_SECONDS"] ?? 12);
const HONEST_CLIENTS = 3;
/** How long an honest pod may wait beside an attacker, as a multiple. Below the floor the machine's noise decides. */
const MOST_TIMES = 3;
const FLOOR_MS = 100;

const { installed, controlPlane } = await startScene(t, { controllerManager: false, config: ONE_TUNNEL });
// The test's own client gives up no sooner than an API server does.
const tryMs = { fresh: 20_000, kept: 20_000 };
const admin = await connect("kubeconfig", { kubeconfigPath: controlPlane.kubeconfig, tryMs });
const create = (pod: object): Promise<KubeObject> => admin.create(pod as KubeObject, AbortSignal.timeout(20_000));

const webhook = await installed.start({ node: ["--max-old-space-size=256", "--max-semi-space-size=1"] });
t.teardown(webhook.stop);

let names = 0;
/** Honest pods, one after another by some clients: how long each took, in milliseconds, and what went wrong. */
const honestPods = async (
  isOver: () => boolean,
): Promise<{ readonly ms: readonly number[]; readonly failures: readonly string[] }> => {
  const ms: number[] = [];
  const failures: string[] = [];
  const client = async (): Promise<void> => {
    while (!isOver()) {
      const name = `honest-${(names += 1)}`;
      const env = { URL: `postgres://u:p@10.0.0.${(names % 5) + 1}:1433/db` };
      const begun = performance.now();
      try {
        const made = await create(flowgenPod("team-a", name, targets(`sql=10.0.0.${(names % 5) + 1}:1433`), env));
        if (made.metadata.annotations?.["flowgen.io/gateway-status"] === undefined) failures.push("not redirected");
      } catch (error) {
        failures.push(String(error));
      }
      ms.push(performance.now() - begun);
      await sleep(20);
    }
  };
  await Promise.all(Array.from({ length: HONEST_CLIENTS }, client));
  return { ms: ms.sort((a, b) => a - b), failures };
};
const quantile = (sorted: readonly number[], part: number): number => sorted[Math.floor(sorted.length * part)] ?? NaN;
const clock = (seconds: number): (() => boolean) => {
  const end = performance.now() + seconds * 1000;
  return () => performance.now() > end;
};

/** Attacks until `ms` have passed. Returns how often. */
const attack = async (who: Attack["who"], ms: number): Promise<number> => {
  const { url } = webhook;
  const workerData: Attack = { who, url, ca: installed.ca, kubeconfig: controlPlane.kubeconfig, ms };
  const worker = new Worker(new URL("../bench/hostile/attacker.ts", import.meta.url), { workerData });
  const [count] = (await once(worker, "message")) as [number];
  await worker.terminate();
  return count;
};

await honestPods(clock(2));
let alone = NaN;
t.test("honest pods alone", async (t) => {
  const { ms, failures } = await honestPods(clock(SECONDS));
  alone = quantile(ms, 0.99);
  t.comment(`${ms.length} pods: p50 ${quantile(ms, 0.5).toFixed(0)} ms, p99 ${alone.toFixed(0)} ms`);
  t.strictSame(failures, []);
});
for (const who of ["tenant", "stranger"] as const) {
  t.test(`honest pods beside a hostile ${who}`, async (t) => {
    const [acts, { ms, failures }] = await Promise.all([attack(who, SECONDS * 1000), honestPods(clock(SECONDS))]);
    const p99 = quantile(ms, 0.99);
    t.comment(
      `${ms.length} pods beside ${acts} of the other's: p50 ${quantile(ms, 0.5).toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, ${(p99 / alone).toFixed(1)} × alone`,
    );
    t.strictSame(failures, [], "none is refused");
    t.ok(p99 <= MOST_TIMES * Math.max(alone, FLOOR_MS), `p99 ${p99.toFixed(0)} ms, ${alone.toFixed(0)} alone`);
    t.match(await webhook.metrics(), /flowgen_gateway_build_info/, "the same process serves");
  });
}
