// Three processes of the webhook behind one address, and pods by the hundred at the same moment.
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { seeded } from "../making.ts";
import { type Api, connectTo, type Stored } from "../lab/control-plane/api.ts";
import { type Balancer, startBalancer } from "../lab/control-plane/balancer.ts";
import { type GatewayRecord, recordGateway, violations } from "../lab/control-plane/gateway-record.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { ONE_TUNNEL, startScene } from "../lab/control-plane/scene.ts";
import { wishedPod, PODS, wishFor, type Wish } from "../lab/control-plane/wishes.ts";
import type { Webhook } from "../lab/control-plane/webhook.ts";

const REPLICAS = 3;
const COUNT = Number(process.env["PODS"] ?? 1000);
const config = `${ONE_TUNNEL}    maxForwards: 500\n    maxForwardsPerNamespace: 500\n`;

type Stage = {
  readonly balancer: Balancer;
  /** Clients that are no admins: the API server lets so many of their requests run at a time as it does in any cluster. */
  readonly creators: Api;
  readonly admin: Api;
  readonly record: GatewayRecord;
  readonly ports: readonly number[];
  /** Starts a replica and ends it with the test. */
  readonly start: (port: number) => Promise<Webhook>;
};

/** A control plane without controllers, and the webhook's replicas behind the address that is registered. */
const setStage = async (t: Test): Promise<Stage> => {
  const scene = await startScene(t, { controllerManager: false, config });
  const { kubectl, installed, controlPlane } = scene;
  // As long as the API server ever waits: on a slow machine it is not a stopwatch that decides here.
  const patch = JSON.stringify([{ op: "replace", path: "/webhooks/0/timeoutSeconds", value: 30 }]);
  await kubectl(["patch", "mutatingwebhookconfiguration", "flowgen-gateway-webhook", "--type=json", "-p", patch]);
  const binding = ["--clusterrole=cluster-admin", "--group=system:serviceaccounts:default"];
  await kubectl(["create", "clusterrolebinding", "creators", ...binding]);
  const ports = await freePorts(REPLICAS);
  const balancer = await startBalancer(Number(new URL(installed.url).port), ports);
  t.teardown(balancer.close);
  const start = async (port: number): Promise<Webhook> => {
    const webhook = await installed.start({ port });
    t.teardown(webhook.kill);
    return webhook;
  };
  const [admin, creators] = [connectTo(controlPlane), connectTo(controlPlane, "creators")];
  t.teardown(admin.close);
  t.teardown(creators.close);
  return { creators, admin, balancer, ports, start, record: await recordGateway(admin) };
};

type Created = {
  readonly pods: readonly Stored[];
  readonly refused: readonly string[];
  readonly ms: readonly number[];
};

/** Asks for all pods at the same moment, for each once. */
const createAtOnce = async (api: Api, wishes: readonly Wish[]): Promise<Created> => {
  const pods: Stored[] = [];
  const refused: string[] = [];
  const ms: number[] = [];
  await Promise.all(
    wishes.map(async (wish) => {
      const started = performance.now();
      const { status, body } = await api.ask("POST", PODS, wishedPod(wish));
      ms.push(performance.now() - started);
      if (status === 201) pods.push(body);
      else refused.push(`${wish.name}: ${status} ${String(body["message"])}`);
    }),
  );
  return { pods, refused, ms };
};

const figures = (what: string, { pods, ms }: Created, writes: number): string => {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.ceil(sorted.length * share) - 1] ?? NaN).toFixed(0);
  return `${what}: ${pods.length} pods, ${writes} table writes, ms p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}`;
};

/** With the 10 that are shared as many as a gateway may have, nearly. */
const NEW = 480;

t.test("1,000 pods with 480 new targets at once, then 1,000 that share 10", async (t) => {
  const { admin, creators, balancer, record, ports, start } = await setStage(t);
  await Promise.all(ports.map(start));
  await balancer.settled(ports);

  // As admin: the API server lets all of them through at once, so all 1,000 wait for the webhook together.
  const own = await createAtOnce(
    admin,
    wishFor(COUNT, "own", (index) => index % NEW),
  );
  await record.settled();
  const writes = record.tables.length;
  t.comment(figures("new targets", own, writes));
  t.strictSame(own.refused, [], "no pod is refused");
  t.ok(writes <= 20, `${writes} table writes, at most 20`);
  t.strictSame(violations(record, own.pods).slice(0, 5), []);
  t.equal(record.tables.at(-1)?.content.forwards.length, Math.min(COUNT, NEW));

  // Clients who are no admins hold all seats of their priority level while they wait: the webhook must not need one of these.
  const shared = await createAtOnce(
    creators,
    wishFor(COUNT, "shared", (index) => NEW + (index % 10)),
  );
  await record.settled();
  t.comment(figures("10 shared targets", shared, record.tables.length - writes));
  t.strictSame(shared.refused, [], "no pod is refused");
  t.strictSame(violations(record, [...own.pods, ...shared.pods]).slice(0, 5), []);
  t.equal(record.tables.at(-1)?.content.forwards.length, Math.min(COUNT, NEW) + 10);
});

/** Creates pods as a Job does: some at a time, each again until it is there. Returns them as they were stored. */
const createAll = async (api: Api, wishes: readonly Wish[], atATime: number): Promise<Created> => {
  const pods: Stored[] = [];
  const refused: string[] = [];
  const left = [...wishes];
  const worker = async (): Promise<void> => {
    for (let wish = left.shift(); wish !== undefined; wish = left.shift()) {
      for (let created = false; !created;) {
        const { status, body } = await api.ask("POST", PODS, wishedPod(wish));
        created = status === 201;
        if (created) pods.push(body);
        else refused.push(String(body["message"]));
        await sleep(created ? 0 : 100);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return { pods, refused, ms: [] };
};

const JOBS = Math.round(COUNT * 0.6);

/** So that the pods come to be on a machine too on which a process hardly starts before its end. */
const MAX_KILLS = 5;

/** Kills a replica and starts it anew, again and again, after pauses of `pauseMs`. Returns the number of kills. */
const harass = async (
  port: number,
  start: Stage["start"],
  pauseMs: () => number,
  isOver: () => boolean,
): Promise<number> => {
  let kills = 0;
  do {
    const webhook = await start(port);
    await sleep(pauseMs());
    await webhook.kill();
    kills += 1;
  } while (!isOver() && kills < MAX_KILLS);
  await start(port);
  return kills;
};

t.test("three processes, 600 pods, and a process is killed at any moment", async (t) => {
  const { creators, admin, record, ports, start } = await setStage(t);
  const seed = Number(process.env["SEED"] ?? 1);
  const random = seeded(seed);
  let isOver = false;
  const chaos = ports.map((port) =>
    harass(
      port,
      start,
      () => 500 + random() * 4000,
      () => isOver,
    ),
  );
  // Every third pod asks for a target of its own, the others share some.
  const wishes = wishFor(JOBS, "job", (index) => (index % 3 === 0 ? index : index % 20));
  const { pods, refused } = await createAll(creators, wishes, 20).finally(() => (isOver = true));
  const kills = (await Promise.all(chaos)).reduce((sum, count) => sum + count, 0);
  await record.settled();

  t.comment(`seed ${seed}: ${kills} kills, ${refused.length} creations that failed and were made again`);
  t.ok(kills >= REPLICAS, "processes were killed");
  const others = refused.filter((message) => !message.includes('failed calling webhook "pods.flowgen.io"'));
  t.strictSame(others.slice(0, 5), [], "nothing failed for another reason");
  const { body } = await admin.ask<{ items: unknown[] }>("GET", PODS);
  t.equal(body.items.length, JOBS, "nothing is lost");
  t.equal(
    record.tables.at(-1)?.content.forwards.length,
    new Set(wishes.map(({ host }) => host)).size,
    "nothing double",
  );
  t.strictSame(violations(record, pods).slice(0, 5), []);
});
