/**
 * `npm run bench:scale`: where the design ends, by simulation. In one minute of virtual time, PODS (10,000) creations
 * ask 1, 10 and 100 replicas for three targets each. The 500 targets are of 1, 10 or 100 gateways, and no gateway
 * exists at the start. The replicas are the webhook's own provisioners on one cluster in memory. Each call takes the
 * time of a random call of the same verb and kind, measured on a real API server just before. Not simulated: the CPU of
 * the replicas, and an API server that slows down under load. REPLICAS and GATEWAYS choose others.
 */
import { connect } from "../../src/cluster/kubernetes.ts";
import type { Cluster } from "../../src/cluster/cluster.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import type { Want } from "../../src/core/target.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import { kubectl } from "../lab/control-plane/webhook.ts";
import { type Clock, createClock } from "../clock.ts";
import { configOf, gatewayOf, seeded, wantOf } from "../making.ts";

const PODS = Number(process.env["PODS"] ?? 10_000);
const list = (name: string): readonly number[] => (process.env[name] ?? "1,10,100").split(",").map(Number);
const [TARGETS, OF_A_POD, MINUTE, DEADLINE] = [500, 3, 60_000, 10_000];

const NAMESPACE = "flowgen-gateway";
const configWith = (count: number) =>
  configOf(
    JSON.stringify({
      defaultGateway: "gw-0",
      gateways: Array.from({ length: count }, (_, at) => ({
        ...{ name: `gw-${at}`, namespace: NAMESPACE, maxForwards: TARGETS, maxForwardsPerNamespace: TARGETS },
        tunnels: [{ name: "wg0", secretName: `wg-${at}`, allowedTargets: ["10.0.0.0/8"] }],
      })),
    }),
  );
/** Each on a port of its own, at the gateway's own Service. */
const target = (at: number): Want => wantOf(`t${at}`, `10.0.${at >> 8}.${at & 255}`, 10_000 + at);

type Samples = ReadonlyMap<string, readonly number[]>;
/**
 * Milliseconds of the calls, by verb and kind, that a gateway's growth from 0 to 500 forwards makes on a real API
 * server.
 */
const measured = async (): Promise<Samples> => {
  const controlPlane = await startControlPlane({ controllerManager: false });
  const samples = new Map<string, number[]>();
  try {
    await kubectl(controlPlane, ["create", "namespace", NAMESPACE]);
    const cluster = await connect("kubeconfig", {
      kubeconfigPath: controlPlane.kubeconfig,
      onCall: (verb, kind, _code, ms) =>
        samples.set(`${verb} ${kind}`, [...(samples.get(`${verb} ${kind}`) ?? []), ms]),
    });
    const config = configWith(1);
    const provision = createProvisioner(cluster, { scripts: loadScripts() });
    for (let at = 0; at < TARGETS; at += 10) {
      const wants = Array.from({ length: 10 }, (_, more) => target(at + more));
      const signal = () => AbortSignal.timeout(30_000);
      const given = await provision({ config, gateway: gatewayOf(config), wants, write: true, signal });
      if (given.kind !== "assigned") throw new Error(JSON.stringify(given));
    }
  } finally {
    await controlPlane.stop();
  }
  return samples;
};

type Tally = { readonly ms: number[]; readonly others: string[]; calls: number; writes: number; conflicts: number };

/** The cluster as one replica sees it: half of a call's time on the way there, half on the way back. */
const behind = (cluster: Cluster, { sleep }: Clock, samples: Samples, random: () => number, tally: Tally): Cluster => {
  const slow = async <T>(verb: string, kind: string, call: () => Promise<T>): Promise<T> => {
    const known = samples.get(`${verb} ${kind}`) ?? samples.get(`${verb} ConfigMap`) ?? [];
    const ms = known[Math.floor(random() * known.length)] ?? 0;
    tally.calls += 1;
    await sleep(ms / 2);
    try {
      return await call();
    } finally {
      await sleep(ms / 2);
    }
  };
  return {
    ...cluster,
    get: (ref, signal) => slow("get", ref.kind, () => cluster.get(ref, signal)),
    list: (kind, namespace, selector, signal) =>
      slow("list", kind, () => cluster.list(kind, namespace, selector, signal)),
    create: (object, signal) => slow("create", object.kind, () => cluster.create(object, signal)),
    apply: (object, signal) => {
      if (object.metadata.name?.endsWith("-forwards") === true) tally.writes += 1;
      return slow("apply", object.kind, () => cluster.apply(object, signal));
    },
  };
};

const simulate = async (replicas: number, gateways: number, samples: Samples): Promise<Tally> => {
  const [clock, random, config] = [createClock(), seeded(1), configWith(gateways)];
  const tally: Tally = { ms: [], others: [], calls: 0, writes: 0, conflicts: 0 };
  const memory = createMemoryCluster({ now: () => 0 });
  const events = { conflict: () => void (tally.conflicts += 1) };
  const provisioners = Array.from({ length: replicas }, () => {
    const cluster = behind(memory, clock, samples, random, tally);
    return createProvisioner(cluster, { scripts: loadScripts(), now: clock.now, random, pause: clock.sleep, events });
  });
  const placed = config.gateways.map((gateway) => gatewayOf({ ...config, gateways: [gateway] }));
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const create = async (): Promise<void> => {
    await clock.sleep(random() * MINUTE);
    const began = clock.now();
    const wants = [...new Set(Array.from({ length: OF_A_POD }, () => Math.floor(random() * TARGETS)))].map(target);
    const deadline = new AbortController();
    void clock.sleep(DEADLINE).then(() => deadline.abort());
    const ask = { config, gateway: pick(placed), wants, write: true, signal: () => deadline.signal };
    const kind = await pick(provisioners)(ask).then(
      (provisioned) => provisioned.kind,
      (error: unknown) => String(error),
    );
    if (kind === "assigned") tally.ms.push(clock.now() - began);
    else tally.others.push(kind);
  };
  const all = Promise.all(Array.from({ length: PODS }, create));
  await clock.run();
  await all;
  return tally;
};

const samples = await measured();
const at = (values: readonly number[], share: number): string =>
  (values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? NaN).toFixed(0);
for (const [call, ms] of samples)
  console.log(`measured: ${call}: ${ms.length}, ms p50 ${at(ms, 0.5)}, p99 ${at(ms, 0.99)}`);
console.log(
  "| replicas | gateways | table writes | conflicts | calls of the API server a second | ms p50 | p99 | longest | not served |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
for (const replicas of list("REPLICAS"))
  for (const gateways of list("GATEWAYS")) {
    const { ms, others, calls, writes, conflicts } = await simulate(replicas, gateways, samples);
    const cells = [
      replicas,
      gateways,
      writes,
      conflicts,
      (calls / 60).toFixed(0),
      at(ms, 0.5),
      at(ms, 0.99),
      at(ms, 1),
    ];
    console.log(`| ${[...cells, others.length].join(" | ")} |${others[0] === undefined ? "" : ` ${others[0]}`}`);
  }
