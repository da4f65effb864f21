// The throughput of a gateway of one identity, and of one of two: queries and bulk by many open connections to its
// Service.
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ControlPlane } from "../lab/control-plane/control-plane.ts";
import { addressOf, PAIR, SINGLE } from "../lab/node/identities.ts";
import { postgresBin } from "../lab/vpn/postgres.ts";
import { eventually } from "../wait.ts";

const run = promisify(execFile);
const CLIENTS = 16;
const SECONDS = 4;
const ROUNDS = 3;

/** A row of a hundred kilobytes: ten of them are a megabyte. */
const BULK = "select repeat('x', 100000);\n";

/** A line for each kind of traffic. The gateways take turns, because the machine's speed varies. */
export const measureThroughput = async (controlPlane: ControlPlane): Promise<readonly string[]> => {
  const [single, pair] = [await addressOf(controlPlane, SINGLE), await addressOf(controlPlane, PAIR)];
  const bulk = join(controlPlane.folder, "bulk.sql");
  await writeFile(bulk, BULK);
  // The node may still send packets to the former pod.
  await eventually("a table for pgbench", 30_000, () =>
    pgbench(single, "-q", "-i").then(
      () => true,
      () => undefined,
    ),
  );
  const measure = async (...what: readonly string[]): Promise<readonly [number, number]> => {
    const each: [number, number][] = [];
    for (let round = 0; round < ROUNDS; round++) each.push([await rate(single, what), await rate(pair, what)]);
    const mean = (index: 0 | 1): number => each.reduce((sum, rates) => sum + rates[index], 0) / ROUNDS;
    return [mean(0), mean(1)];
  };
  const line = (what: string, [one, two]: readonly [number, number]): string =>
    `${what}: one identity ${one.toFixed(0)}, two ${two.toFixed(0)}, ${(two / one).toFixed(2)} times as much`;
  const queries = await measure("-S");
  const [one, two] = await measure("-f", bulk);
  return [
    line(`queries a second, ${CLIENTS} clients`, queries),
    line(`MB a second, ${CLIENTS} clients`, [one / 10, two / 10]),
  ];
};

const rate = async (host: string, what: readonly string[]): Promise<number> => {
  const out = await pgbench(host, "-n", ...what, "-T", `${SECONDS}`, "-c", `${CLIENTS}`, "-j", "2");
  return Number(/tps = ([\d.]+)/.exec(out)?.[1]);
};

const pgbench = async (host: string, ...args: readonly string[]): Promise<string> => {
  const env = { ...process.env, PGSSLMODE: "require" };
  return (await run(join(postgresBin(), "pgbench"), [...args, "-h", host, "-U", "postgres", "postgres"], { env }))
    .stdout;
};
