// Three processes of the webhook behind one address, and pods by the hundred at the same moment.
import t from "tap";
import { seeded } from "../making.ts";
import { violations } from "../lab/control-plane/gateway-record.ts";
import { ONE_TUNNEL } from "../lab/control-plane/scene.ts";
import { type Created, createPods, harass, isUnanswered, quantile, setStage } from "../lab/control-plane/stage.ts";
import { PODS_PATH, wishFor } from "../lab/control-plane/wishes.ts";

const REPLICAS = 3;
const COUNT = Number(process.env["PODS"] ?? 1000);
const config = `${ONE_TUNNEL}    maxForwards: 500\n    maxForwardsPerNamespace: 500\n`;

const figures = (what: string, { pods, ms }: Created, writes: number): string => {
  const at = (share: number): string => quantile(ms, share).toFixed(0);
  return `${what}: ${pods.length} pods, ${writes} table writes, ms p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}`;
};

/** With the 10 that are shared as many as a gateway may have, nearly. */
const NEW = 480;

t.test("1,000 pods with 480 new targets at once, then 1,000 that share 10", async (t) => {
  const { admin, creators, balancer, record, ports, start } = await setStage(t, config, REPLICAS);
  await Promise.all(ports.map(start));
  await balancer.settled(ports);

  // As admin: the API server lets all of them through at once, so all 1,000 wait for the webhook together.
  const own = await createPods(
    admin,
    wishFor(COUNT, "own", (index) => index % NEW),
    { atATime: COUNT, untilThere: false },
  );
  await record.settled();
  const writes = record.tables.length;
  t.comment(figures("new targets", own, writes));
  t.strictSame(own.refused, [], "no pod is refused");
  t.ok(writes <= 20, `${writes} table writes, at most 20`);
  t.strictSame(violations(record, own.pods).slice(0, 5), []);
  t.equal(record.tables.at(-1)?.content.forwards.length, Math.min(COUNT, NEW));

  // Clients other than admins hold all seats of their priority level while they wait. The webhook must not need one of
  // these seats.
  const shared = await createPods(
    creators,
    wishFor(COUNT, "shared", (index) => NEW + (index % 10)),
    { atATime: COUNT, untilThere: false },
  );
  await record.settled();
  t.comment(figures("10 shared targets", shared, record.tables.length - writes));
  t.strictSame(shared.refused, [], "no pod is refused");
  t.strictSame(violations(record, [...own.pods, ...shared.pods]).slice(0, 5), []);
  t.equal(record.tables.at(-1)?.content.forwards.length, Math.min(COUNT, NEW) + 10);
});

const JOBS = Math.round(COUNT * 0.6);

t.test("three processes, 600 pods, and a process is killed at any moment", async (t) => {
  const { creators, admin, record, ports, start } = await setStage(t, config, REPLICAS);
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
  const { pods, refused } = await createPods(creators, wishes, { atATime: 20, untilThere: true }).finally(
    () => (isOver = true),
  );
  const kills = (await Promise.all(chaos)).reduce((sum, count) => sum + count, 0);
  await record.settled();

  t.comment(`seed ${seed}: ${kills} kills, ${refused.length} creations that failed and were made again`);
  t.ok(kills >= REPLICAS, "processes were killed");
  const others = refused.filter((message) => !isUnanswered(message));
  t.strictSame(others.slice(0, 5), [], "nothing failed for another reason");
  const { body } = await admin.ask<{ items: unknown[] }>("GET", PODS_PATH);
  t.equal(body.items.length, JOBS, "nothing is lost");
  t.equal(
    record.tables.at(-1)?.content.forwards.length,
    new Set(wishes.map(({ host }) => host)).size,
    "nothing double",
  );
  t.strictSame(violations(record, pods).slice(0, 5), []);
});
