/**
 * `npm run bench:flat`: whether an admission's cost grows with the table or with the number of gateways. It measures
 * the CPU time of one admission in this process, for 1, 100 and 500 forwards in a gateway's table, and for 100
 * gateways. HTTP would hide the growth and is left out. Warm: a few workloads again and again. Strangers: never a pod
 * like one before, targets known. Cold: the first admission of a replica, whose table is read. Medians of rounds in
 * turns, as ratios to one forward of one gateway.
 */
import { admit, type Context } from "../../src/admit.ts";
import type { Cluster } from "../../src/cluster/cluster.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { createProvisioner, type Provisioner } from "../../src/provisioning/provisioner.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import type { Config } from "../../src/core/config/config.ts";
import type { Pod } from "../../src/core/pod.ts";
import { configOf, podOf } from "../making.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 9);
const GOAL = 1.2;
const COUNTS = { warm: 4000, strangers: 2000, cold: 10 } as const;
type Kind = keyof typeof COUNTS;

const configWith = (gateways: number): Config =>
  configOf(
    JSON.stringify({
      defaultGateway: "gw-0",
      gateways: Array.from({ length: gateways }, (_, at) => ({
        ...{ name: `gw-${at}`, namespace: "gateways", maxForwards: 500, maxForwardsPerNamespace: 500 },
        tunnels: [{ name: "wg0", secretName: `wg-${at}`, allowedTargets: ["10.0.0.0/8"] }],
      })),
    }),
  );
/** The last of them is asked for, in the last gateway: what is searched from the start is searched to its end. */
const podFor = (forwards: number, gateways: number, mark: string): Pod => {
  const at = forwards - 1;
  const host = `10.0.${at >> 8}.${at & 255}`;
  const env = { DB_URL: `postgres://app:pw-${mark}@${host}:${10_000 + at}/db`, MARK: mark };
  return podOf(`t${at}=${host}:${10_000 + at}`, env, { "flowgen.io/gateway": `gw-${gateways - 1}` });
};

type Subject = { readonly name: string; readonly micros: (kind: Kind) => Promise<number> };

const subject = async (forwards: number, gateways: number): Promise<Subject> => {
  const config = configWith(gateways);
  const memory = createMemoryCluster();
  // As an API server's answers, which are new objects: no memo of the table holds from one cold admission to the next.
  const get: Cluster["get"] = async (ref, signal) => {
    const object = await memory.get(ref, signal);
    return object && { ...object };
  };
  const cluster = { ...memory, get };
  const start = (): Provisioner => createProvisioner(cluster, { scripts: loadScripts() });
  /** `text`: of a pod that came before. */
  const ask = async (pod: Pod, context: Context, text?: string): Promise<void> => {
    const creation = { pod, text, namespace: "team-a", dryRun: false, signal: () => AbortSignal.timeout(30_000) };
    const { outcome, message } = await admit(creation, context);
    if (outcome !== "inject") throw new Error(`${outcome}: ${message ?? ""}`);
  };
  const contextOf = (provision: Provisioner): Context => ({ config, provision, version: "1" });
  const filling = contextOf(start());
  for (let at = 0; at < forwards; at += 1) {
    const pod = podFor(at + 1, gateways, "fill");
    await ask(pod, filling);
  }
  let strangers = 0;
  const alike = Array.from({ length: 16 }, (_, at) => podFor(forwards, gateways, `alike-${at}`));
  const micros = async (kind: Kind): Promise<number> => {
    const warm = contextOf(start());
    await ask(podFor(forwards, gateways, "first"), warm);
    const pods = Array.from({ length: COUNTS[kind] }, (_, at) =>
      kind === "strangers" ? podFor(forwards, gateways, `stranger-${strangers++}`) : (alike[at % 16] as Pod),
    );
    const before = process.cpuUsage();
    for (const pod of pods)
      await ask(pod, kind === "cold" ? contextOf(start()) : warm, kind === "warm" ? JSON.stringify(pod) : undefined);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / pods.length;
  };
  return { name: `${forwards} forwards, ${gateways} gateways`, micros };
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

const subjects = await Promise.all([subject(1, 1), subject(100, 1), subject(500, 1), subject(1, 100)]);
let isFlat = true;
for (const kind of Object.keys(COUNTS) as Kind[]) {
  for (const { micros } of subjects) await micros(kind); // warms up
  const rounds = subjects.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round += 1)
    for (const [at, { micros }] of subjects.entries()) rounds[at]?.push(await micros(kind));
  const least = median(rounds[0] ?? []);
  for (const [at, { name }] of subjects.entries()) {
    const ratio = median(rounds[at] ?? []) / least;
    if (kind !== "cold" && ratio > GOAL) isFlat = false;
    console.log(
      `${kind.padEnd(10)} ${name.padEnd(28)} ${median(rounds[at] ?? [])
        .toFixed(1)
        .padStart(9)} µs ${ratio.toFixed(2)} ×`,
    );
  }
}
console.log(`goal, warm and strangers: ${GOAL} ×`);
process.exitCode = isFlat ? 0 : 1;
