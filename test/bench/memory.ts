/**
 * `npm run bench:memory`: whether the chart's memory limit holds. The bundle runs under that limit, with a real API
 * server and as many forwards in its table as a gateway takes. It gets a burst of 50,000 admissions, 1,000 at once.
 * Without the limit Node would take more, and be lazier about garbage. Root and cgroups of version 1. Exit 1 when an
 * admission failed or the kernel had to reclaim memory.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { Agent } from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import { reviewOf } from "../lab/control-plane/mutate.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { flowgenPod, GATEWAY, targets } from "../lab/control-plane/scene.ts";
import { install } from "../lab/control-plane/webhook.ts";
import { send } from "../server/client.ts";
import { root } from "../program.ts";

const FORWARDS = 500;
const TARGETS_OF_A_POD = 10;
const ADMISSIONS = 50_000;
const AT_ONCE = 1000;

const values = parse(readFileSync(join(root, "deploy/helm/flowgen-gateway-webhook/values.yaml"), "utf8")) as {
  readonly resources: { readonly limits: { readonly memory: string } };
};
const { memory: limit } = values.resources.limits;

/** A cgroup of this process's own, with the chart's limit. */
const cgroup = `/sys/fs/cgroup/memory/flowgen-gateway-bench-${process.pid}`;
const read = (name: string): number => Number(readFileSync(join(cgroup, name), "utf8"));
const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

const bodies = Array.from({ length: FORWARDS / TARGETS_OF_A_POD }, (_, pod) => {
  const hosts = Array.from({ length: TARGETS_OF_A_POD }, (_, target) => `10.${pod >> 8}.${pod & 255}.${target + 1}`);
  const env = Object.fromEntries(hosts.map((host, target) => [`DB${target}_URL`, `postgres://u:p@${host}:5432/db`]));
  const asked = targets(hosts.map((host, target) => `p${pod}-${target}=${host}:5432`).join(", "));
  return reviewOf(flowgenPod("default", `memory-${pod}`, asked, env));
});

/** Asks for `count` pods, `atOnce` at a time, in turn of `bodies`. Returns how many were answered in a second. */
const burst = async (url: string, agent: Agent, count: number, atOnce: number): Promise<number> => {
  let asked = 0;
  const client = async (): Promise<void> => {
    while (asked < count) {
      const body = bodies[asked++ % bodies.length] ?? "";
      const { status, body: answer } = await send(`${url}/mutate?timeout=30s`, { agent, body });
      if (status !== 200 || !answer.includes('"patch"')) throw new Error(`${status} ${answer.slice(0, 300)}`);
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: atOnce }, client));
  return count / ((performance.now() - begun) / 1000);
};

mkdirSync(cgroup);
const controlPlane = await startControlPlane({ controllerManager: false });
try {
  writeFileSync(join(cgroup, "memory.limit_in_bytes"), limit.replace(/i$/, ""));
  const [port = 0] = await freePorts(1);
  const tunnels = [{ name: "wg0", secretName: "wireguard-client-a", allowedTargets: ["10.0.0.0/8"] }];
  const config = stringify({
    gateways: [{ ...GATEWAY, maxForwards: FORWARDS, maxForwardsPerNamespace: FORWARDS, tunnels }],
  });
  const installed = await install(controlPlane, config, port);
  const within = ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', cgroup];
  const { url, stop } = await installed.start({ command: [...within, process.execPath, join(root, "dist/main.js")] });
  const report = (when: string): void => {
    const highest = mebibytes(read("memory.max_usage_in_bytes"));
    console.log(`${when.padEnd(50)} ${mebibytes(read("memory.usage_in_bytes"))}, at most ${highest} of ${limit}`);
  };
  report("started");
  const agent = new Agent({ keepAlive: true, ca: installed.ca });
  await burst(url, agent, bodies.length, 50);
  report(`${FORWARDS} forwards in the table`);
  const perSecond = await burst(url, agent, ADMISSIONS, AT_ONCE);
  report(`${ADMISSIONS} admissions, ${AT_ONCE} at once (${perSecond.toFixed(0)}/s)`);
  agent.destroy();
  await stop();
  const reclaims = read("memory.failcnt");
  console.log(`the kernel had to reclaim memory ${reclaims} times`);
  process.exitCode = reclaims === 0 ? 0 : 1;
} finally {
  await controlPlane.stop();
  while (readFileSync(join(cgroup, "cgroup.procs"), "utf8") !== "") await sleep(50);
  rmdirSync(cgroup);
}
