// Forwards that no pod uses are marked and removed, while other pods are admitted and the webhook's processes are
// killed. The address of a live pod always reaches its own target. By hand, as docs/operations.md says it: a user with
// break-glass who may list pods.
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { connect } from "../../src/cluster/kubernetes.ts";
import { runReconcile } from "../../src/commands/upkeep/reconcile.ts";
import { CACHE_MS, SETTLE_MS } from "../../src/core/forwards/retire.ts";
import { address } from "../../src/core/target.ts";
import { configOf, seeded } from "../making.ts";
import { connectTo, type ApiObject } from "../lab/control-plane/api.ts";
import { startBalancer } from "../lab/control-plane/balancer.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { recordGateway } from "../lab/control-plane/gateway-record.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { GATEWAY, ONE_TUNNEL, startScene } from "../lab/control-plane/scene.ts";
import { PODS_PATH, wishedPod, wishFor, type Wish } from "../lab/control-plane/wishes.ts";

const yaml = `${ONE_TUNNEL}    retain: 1s\n    maxForwards: 500\n    maxForwardsPerNamespace: 500\n`;
const config = configOf(yaml);
const { kubectl, installed, controlPlane } = await startScene(t, { controllerManager: false, config: yaml });
const ports = await freePorts(2);
const balancer = await startBalancer(Number(new URL(installed.url).port), ports);
t.teardown(balancer.close);
const start = async (port: number) => {
  const webhook = await installed.start({ port, options: ["--repair-seconds=1"] });
  t.teardown(webhook.kill);
  return webhook;
};
const replicas = await Promise.all(ports.map(start));
await balancer.settled(ports);
const admin = connectTo(controlPlane);
t.teardown(admin.close);
const record = await recordGateway(admin);

const SWEEPER = "sweeper";
await breakGlass(kubectl, GATEWAY.namespace, SWEEPER);
const all = ["--verb=list,create,patch", "--resource=pods,deployments.apps,events"];
await kubectl(["create", "clusterrole", SWEEPER, ...all]);
await kubectl(["create", "clusterrolebinding", SWEEPER, `--clusterrole=${SWEEPER}`, `--user=${SWEEPER}`]);
const kubeconfigPath = await controlPlane.signIn(SWEEPER, { name: SWEEPER });
const cluster = await connect("kubeconfig", { kubeconfigPath });

/** One run of the command, at a time that is `later` than now. */
const sweep = async (later = 0, dryRun = false) => {
  let [out, err] = ["", ""];
  const output = { out: (part: string) => (out += part), err: (part: string) => (err += part) };
  const code = await runReconcile({ dryRun }, { config, cluster, output, now: () => Date.now() + later });
  return { code, out, err };
};
const live = new Map<string, ApiObject>();
const create = async (wish: Wish): Promise<void> => {
  for (let isMade = false; !isMade;) {
    const { status, body } = await admin.ask("POST", PODS_PATH, wishedPod(wish));
    isMade = status === 201;
    if (isMade) live.set(wish.name, body);
    else if (!String(body["message"]).includes("failed calling webhook")) throw new Error(String(body["message"]));
    else await sleep(100);
  }
};
const remove = async ({ name }: Wish): Promise<void> => {
  await admin.ask("DELETE", `${PODS_PATH}/${name}?gracePeriodSeconds=0`);
  live.delete(name);
};
const versions = async (): Promise<readonly string[]> =>
  (await admin.list("/api/v1/namespaces/flowgen-gateway/configmaps")).map(
    ({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`,
  );

/** The faults of the live pods: at each version of the table since they were stored, and at the present Services. */
const problems = async (): Promise<readonly string[]> => {
  await record.settled();
  type ServiceOf = ApiObject & {
    readonly spec: { readonly ports: readonly { readonly port: number; readonly targetPort: number }[] };
  };
  const services = await admin.list<ServiceOf>(`/api/v1/namespaces/${GATEWAY.namespace}/services`);
  return [...live.values()].flatMap(({ metadata }) => {
    const status = JSON.parse(metadata.annotations?.["flowgen.io/gateway-status"] ?? "{}") as {
      readonly targets: Readonly<Record<string, { readonly target: string; readonly address: string }>>;
    };
    const stored = Number(metadata.resourceVersion);
    const since = record.tables.findLastIndex(({ revision }) => revision < stored);
    return Object.values(status.targets).flatMap(({ target, address: at }) => {
      const forwards = record.tables
        .slice(since)
        .map(({ content }) => content.forwards.find((each) => address(each.targetHost, each.targetPort) === target));
      const listens = new Set(forwards.map((forward) => forward?.listenPort));
      const [host = "", port] = at.split(":");
      const offered = services
        .find((service) => host.startsWith(`${service.metadata.name}.`))
        ?.spec.ports.find((each) => String(each.port) === port)?.targetPort;
      return listens.size === 1 && offered !== undefined && listens.has(offered)
        ? []
        : [`${metadata.name}: ${target} at ${at}: ${[...listens].join()}, the Service ${offered}`];
    });
  });
};

/** How many forwards the gateway's table lost, over all its versions. */
const removals = (): number =>
  record.tables.slice(1).reduce((sum, { content }, index) => {
    const names = new Set(content.forwards.map(({ name }) => name));
    return sum + (record.tables[index]?.content.forwards ?? []).filter(({ name }) => !names.has(name)).length;
  }, 0);

const COUNT = 200;
/**
 * The pods of the first half that are deleted are 50; the second half asks for the targets with an even number again.
 */
const NEVER_ASKED_AGAIN = 25;
/** Every pod of the first half has a target of its own; the second half asks for these and for new ones. */
const first = wishFor(COUNT / 2, "first", (index) => index);

t.test("a dry run reads only; a run marks unused forwards", async (t) => {
  for (let at = 0; at < first.length; at += 20) await Promise.all(first.slice(at, at + 20).map(create));
  for (const wish of first.slice(COUNT / 4)) await remove(wish);
  const before = await versions();
  t.match(await sweep(0, true), {
    code: 0,
    err: /^nothing was written: 1 gateways, 100 forwards, 50 marked, 0 removed, 0 findings/,
  });
  t.strictSame(await versions(), before);
  t.match(await sweep(), {
    code: 0,
    err: /^1 gateways, 100 forwards, 50 marked, 0 removed, 0 findings; \d+ pods read\n$/,
  });
  t.match(await sweep(), { code: 0, out: "", err: /0 marked, 0 removed/ }, "once");
});

t.test("200 admissions, kills and two runs side by side", async (t) => {
  // No replica's cached table is without the marks.
  await sleep(CACHE_MS + 5000);
  const seed = Number(process.env["SEED"] ?? 1);
  const random = seeded(seed);
  let [isOver, kills, passes] = [false, 0, 0];
  const harass = async (): Promise<void> => {
    for (let at = 0; !isOver && kills < 6; at = 1 - at) {
      await replicas[at]?.kill();
      kills += 1;
      await sleep(200 + random() * 1000);
      replicas[at] = await start(ports[at] ?? 0);
      await sleep(random() * 1500);
    }
  };
  const sweeps = async (): Promise<void> => {
    while (!isOver) {
      await sweep(SETTLE_MS);
      passes += 1;
      await sleep(random() * 300);
    }
  };
  const others = [harass(), sweeps(), sweeps()];
  const wishes = wishFor(COUNT, "second", (index) => (index % 2 === 0 ? index % (COUNT / 2) : COUNT + index));
  const left = [...wishes];
  const worker = async (): Promise<void> => {
    for (let wish = left.shift(); wish !== undefined; wish = left.shift()) {
      await create(wish);
      if (random() < 0.2) await remove(wish);
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: 8 }, worker)).finally(() => (isOver = true));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  await Promise.all(others);
  const beside = removals();
  // A run beside others may lose every write to a 409; a run alone may not.
  t.match(await sweep(SETTLE_MS), { code: 0 });
  await record.settled();
  const removed = removals();
  t.comment(
    `seed ${seed}: ${COUNT} admissions in ${seconds} s, ${kills} kills, ${passes} runs, ` +
      `${beside} forwards removed beside them, ${removed} in all`,
  );
  t.ok(kills > 0 && passes > 2);
  t.ok(removed >= NEVER_ASKED_AGAIN, "the marked forwards that no later pod asked for are gone");
  t.strictSame((await problems()).slice(0, 5), []);
});

t.test("with no pod left all of it is removed, and hosts' Services with it", async (t) => {
  for (const { metadata } of [...live.values()])
    await admin.ask("DELETE", `${PODS_PATH}/${metadata.name}?gracePeriodSeconds=0`);
  live.clear();
  await sweep(2 * SETTLE_MS);
  t.match(await sweep(4 * SETTLE_MS), { code: 0, out: /: deleted the Service flowgen-wireguard-gateway-10-/ });
  t.match(await sweep(4 * SETTLE_MS), { code: 0, out: "", err: /^1 gateways, 0 forwards/ });
  const services = await admin.list(`/api/v1/namespaces/${GATEWAY.namespace}/services`);
  t.strictSame(
    services.map(({ metadata }) => metadata.name),
    [GATEWAY.name],
  );
});
