/**
 * `npm run bench:forwards` (as root): whether one gateway holds 500 forwards, the most that it takes. The socat
 * container runs in a cgroup (version 1) with the memory of its manifest, on a real tunnel. The bench prints the time
 * until the forwards listen. It prints the container's memory and CPU at rest, while Prometheus asks every 15 s, and
 * the processes that a changed table replaces. It opens 500 connections at once to one target. Then one client opens
 * 500 connections a second and holds them, beside clients of another port. Exit 1 where a goal is missed.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { defaultMemory, sessionsOfOnePort } from "../../src/core/gateway/capacity.ts";
import { METRICS_PORT } from "../../src/core/forwards/ports.ts";
import { run } from "../lab/vpn/hosts.ts";
import type { GatewayPart } from "../lab/vpn/gateway.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { podAddress } from "../lab/vpn/network.ts";
import { startFlood, talk, talkAll, untilHeard } from "../lab/vpn/traffic.ts";
import { until } from "../wait.ts";
import { statOf } from "./children.ts";

const FORWARDS = Number(process.env["FORWARDS"] ?? 500);
const REST_SECONDS = 30;
const SCRAPE_EVERY = 15;
const AT_ONCE = 500;
const FLOOD_SECONDS = Number(process.env["FLOOD_SECONDS"] ?? 24);
const PER_SECOND = 500;

const limit = defaultMemory(FORWARDS);
const cgroup = `/sys/fs/cgroup/memory/flowgen-gateway-forwards-${process.pid}`;
const counter = (name: string): number => Number(readFileSync(join(cgroup, name), "utf8"));
const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
const outOfMemory = (): number =>
  Number(/oom_kill (\d+)/.exec(readFileSync(join(cgroup, "memory.oom_control"), "utf8"))?.[1]);

/** CPU seconds of processes and of their children that ended. */
const cpuOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    try {
      const { own, ended } = statOf(pid);
      return sum + own + ended;
    } catch {
      return sum; // it ended meanwhile
    }
  }, 0);

const confine = (pid: number): void => {
  try {
    writeFileSync(join(cgroup, "cgroup.procs"), String(pid));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it ended meanwhile
  }
};

const goals: [string, boolean][] = [];
const goal = (text: string, isReached: boolean): void => {
  goals.push([text, isReached]);
  console.log(`${isReached ? "   " : "NOT"} ${text}`);
};

const ends: (() => Promise<void>)[] = [];
mkdirSync(cgroup);
try {
  writeFileSync(join(cgroup, "memory.limit_in_bytes"), `${limit}M`);
  const { network, gateway } = await startLab(
    { teardown: (end) => ends.push(end) },
    { containers: ["tunnel"], env: { MAX_CHILDREN: String(sessionsOfOnePort(limit, FORWARDS)) } },
  );
  const ports = Array.from({ length: FORWARDS }, (_, index) => 7000 + index);
  const lines = ports.map((port) => `${port} 10.0.0.5 7000 wg0`);
  gateway.setForwards(...lines);
  const begun = performance.now();
  gateway.start("forward");
  for (let round = 0; round < 2; round++)
    // what was started meanwhile, too; a child of one that is in is in itself
    for (const pid of await gateway.processes("forward")) confine(pid);
  const listening = (): number =>
    Number(
      run(
        network.pod,
        "ss -tlnH 'sport >= :7000 and sport < :9000' | sed 's/.*:\\([0-9]*\\) .*/\\1/' | sort -u | wc -l",
      ),
    );
  await until("all listen", () => listening() === FORWARDS, 120_000);
  console.log(`${FORWARDS} forwards listen after ${Math.round(performance.now() - begun)} ms`);
  await untilHeard(network, 7000 + FORWARDS - 1, "five");
  await sleep(15_000); // the first rounds are quicker than those at rest
  goal(
    `memory of ${FORWARDS} listeners: ${mebibytes(counter("memory.usage_in_bytes"))} of ${limit} MiB`,
    outOfMemory() === 0,
  );

  const cpu = async (container: GatewayPart): Promise<number> => cpuOf(await gateway.processes(container));
  const scrape = `printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' | socat -t5 - TCP4:${podAddress}:${METRICS_PORT} | wc -l`;
  const scrapes: string[] = [];
  const atRest = async (every: number): Promise<number> => {
    const before = await cpu("forward");
    for (let second = 0; second < REST_SECONDS; second += every) {
      await sleep(every * 1000);
      if (every === SCRAPE_EVERY) scrapes.push(run(network.client, scrape).trim());
    }
    return (((await cpu("forward")) - before) / REST_SECONDS) * 100;
  };
  const tunnelBefore = await cpu("tunnel");
  const quiet = await atRest(REST_SECONDS);
  const scraped = await atRest(SCRAPE_EVERY);
  const tunnel = (((await cpu("tunnel")) - tunnelBefore) / REST_SECONDS / 2) * 100;
  goal(
    `at rest: ${quiet.toFixed(2)} % of a core, ${scraped.toFixed(2)} % with metrics (${scrapes.join(", ")} lines) every ${SCRAPE_EVERY} s, less than 1`,
    scraped < 1,
  );
  console.log(`    the container of the tunnel: ${tunnel.toFixed(2)} % of a core`);

  const pids = new Set(await gateway.processes("forward"));
  gateway.setForwards(...lines.slice(0, -1), `${7000 + FORWARDS} 10.0.0.5 7000 wg0`);
  console.log(`one line changed: in force after ${await untilHeard(network, 7000 + FORWARDS, "five")} ms`);
  const socats = (await gateway.processes("forward")).filter(
    (pid) => !pids.has(pid) && nameOf(pid).startsWith("socat"),
  );
  await sleep(1000);
  goal(
    `one line changed: ${socats.length} new socat processes, at most 2 (the listener, and a session)`,
    socats.length <= 2,
  );

  const crowd = talkAll(network, 7050, { connections: AT_ONCE, forMs: 5_000 });
  const served = crowd.filter(({ text }) => text === "five\n");
  const last = Math.max(...served.map(({ firstByteMs = 0 }) => firstByteMs));
  goal(
    `${AT_ONCE} connections at once to one target: ${served.length} served, the last after ${last} ms`,
    served.length === AT_ONCE,
  );

  const attacker = startFlood(network, 7000, PER_SECOND);
  let asked = 0;
  let lost = 0;
  let slowest = 0;
  for (const end = Date.now() + FLOOD_SECONDS * 1000; Date.now() < end; asked++) {
    const { text, firstByteMs = Infinity } = talk(network, 7100, { forMs: 1_000 });
    await sleep(10); // what the attacker says is read
    if (text !== "five\n") lost += 1;
    else slowest = Math.max(slowest, firstByteMs);
  }
  const opened = attacker.output().trim().split("\n").at(-1);
  attacker.kill("SIGKILL");
  goal(
    `${opened} connections held by one client, ${PER_SECOND} a second: ${lost} of ${asked} queries of another port lost (slowest ${slowest} ms)`,
    lost === 0,
  );
  goal(
    `${outOfMemory()} processes killed, at most ${mebibytes(counter("memory.max_usage_in_bytes"))} of ${limit} MiB used`,
    outOfMemory() === 0,
  );
} finally {
  for (const end of ends.toReversed()) await end();
  await until("the cgroup is empty", () => readFileSync(join(cgroup, "cgroup.procs"), "utf8") === "", 30_000);
  rmdirSync(cgroup);
}
process.exitCode = goals.every(([, isReached]) => isReached) ? 0 : 1;

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
