// The webhook after a long time of work: its memory and handles, its certificate, and a replica that ends on a signal.
import { setTimeout as sleep } from "node:timers/promises";
import { randomUUID } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import { Agent } from "node:https";
import t from "tap";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { send } from "../server/client.ts";
import { startBalancer } from "../lab/control-plane/balancer.ts";
import { reviewOf } from "../lab/control-plane/mutate.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { flowgenPod, ONE_TUNNEL, startScene } from "../lab/control-plane/scene.ts";
import { wishedPod, wishFor } from "../lab/control-plane/wishes.ts";
import type { Webhook } from "../lab/control-plane/webhook.ts";
import { eventually } from "../wait.ts";

const ADMISSIONS = Number(process.env["ADMISSIONS"] ?? 10_000);
const CLIENTS = 8;

const { installed } = await startScene(t, { controllerManager: false, config: ONE_TUNNEL });

// Pods of 20 targets, one that may not have its own, and one that asks for none.
const pods = [
  ...wishFor(20, "soak", (index) => index).map(wishedPod),
  ...wishFor(1, "refused", () => 0).map((wish) => wishedPod({ ...wish, host: "192.0.2.1" })),
  flowgenPod("default", "none", {}),
];
const reviews = pods.map((pod) => reviewOf(pod, { uid: "UID" }));
const nextReview = (index: number): string => reviews[index % reviews.length]?.replace("UID", randomUUID()) ?? "";

type Load = {
  readonly failures: readonly string[];
  readonly answered: () => number;
  readonly end: () => Promise<void>;
};
type Options = { readonly count?: number; readonly keepAlive?: (client: number) => boolean };

/** Asks the webhook at `url` by several clients, each as fast as it is answered, until `count` answers or `end`. */
const startLoad = (url: string, ca: () => string, { count = Infinity, keepAlive = () => true }: Options): Load => {
  const failures: string[] = [];
  let asked = 0;
  let answered = 0;
  const client = async (index: number): Promise<void> => {
    const agent = new Agent({ keepAlive: keepAlive(index), maxSockets: 1, maxCachedSessions: 0 });
    while (asked < count) {
      const body = nextReview(asked++);
      try {
        agent.options.ca = ca();
        const { status, body: text } = await send(`${url}/mutate?timeout=10s`, { agent, body });
        answered += 1;
        if (status !== 200) failures.push(`${status} ${text}`);
      } catch (error) {
        failures.push(String(error));
      }
    }
    agent.destroy();
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(index)));
  return {
    failures,
    answered: () => answered,
    end: async () => {
      if (count === Infinity) count = 0;
      await clients;
    },
  };
};

/** SIGWINCH collects garbage: what is left is in use. */
const COLLECTS = ["--expose-gc", "--import=data:text/javascript,process.on('SIGWINCH',()=>globalThis.gc())"];

type Use = { readonly heap: number; readonly handles: number };
/** The smallest of some readings: a connection or timer that ends just then is collected with the next garbage. */
const useOf = async ({ pid, metrics }: Webhook): Promise<Use> => {
  const uses: Use[] = [];
  for (let reading = 0; reading < 4; reading += 1) {
    process.kill(pid, "SIGWINCH");
    await metrics(); // answered after the signal came
    process.kill(pid, "SIGWINCH");
    const text = await metrics();
    const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
    uses.push({ heap: value("nodejs_heap_size_used_bytes") / 2 ** 20, handles: value("nodejs_active_handles_total") });
    await sleep(50);
  }
  return {
    heap: Math.min(...uses.map(({ heap }) => heap)),
    handles: Math.min(...uses.map(({ handles }) => handles)),
  };
};

t.test(`${ADMISSIONS} admissions: the heap stays as it is, and so do the handles`, async (t) => {
  const webhook = await installed.start({ node: COLLECTS });
  t.teardown(webhook.stop);
  const uses: Use[] = [];
  const started = performance.now();
  for (let round = 0; round < 5; round += 1) {
    const load = startLoad(webhook.url, () => installed.ca, { count: ADMISSIONS / 5 });
    await load.end();
    t.strictSame(load.failures.slice(0, 3), []);
    // The clients have closed their connections: when the server has seen it, only its own handles are left.
    uses.push(
      await eventually("the clients' connections end", 20_000, async () => {
        const use = await useOf(webhook);
        return use.handles < CLIENTS ? use : undefined;
      }),
    );
  }
  const seconds = (performance.now() - started) / 1000;
  const [first = { heap: NaN, handles: NaN }] = uses;
  const last = uses.at(-1) ?? first;
  t.comment(
    `${(ADMISSIONS / seconds).toFixed(0)} a second; heap MiB ${uses.map(({ heap }) => heap.toFixed(1)).join()}`,
  );
  t.comment(`handles ${uses.map(({ handles }) => handles).join()}`);
  t.ok(last.heap < first.heap + 5, "after GC no more than 5 MiB more than after the first fifth");
});

t.test("the certificate's files change three times under load: no request fails", async (t) => {
  const webhook = await installed.start({ options: ["--reload-seconds=1"] });
  t.teardown(webhook.stop);
  let trusted = installed.ca;
  const load = startLoad(webhook.url, () => trusted, { keepAlive: (client) => client % 2 === 0 });
  const serial = async (): Promise<string> => (await send(`${webhook.url}/healthz`, { ca: trusted })).serial;
  const serials = new Set([await serial()]);
  for (let rotation = 1; rotation <= 3; rotation += 1) {
    const { ca, cert, key } = await makeServingCertificate(["127.0.0.1"], 1, new Date());
    trusted += ca;
    for (const [path, text] of [
      [installed.certificate.cert, cert],
      [installed.certificate.key, key],
    ] as const) {
      await writeFile(`${path}.next`, text, { mode: 0o600 });
      await rename(`${path}.next`, path);
    }
    await eventually("the next certificate is served", 20_000, async () =>
      serials.has(await serial()) ? undefined : true,
    );
    serials.add(await serial());
  }
  await load.end();
  t.equal(serials.size, 4);
  t.ok(load.answered() > 100, `${load.answered()} answers`);
  t.strictSame(load.failures, []);
});

t.test("two replicas end in turn under load: no request fails", async (t) => {
  const { ca, cert, key } = await makeServingCertificate(["127.0.0.1"], 1, new Date());
  await Promise.all([writeFile(installed.certificate.cert, cert), writeFile(installed.certificate.key, key)]);
  const [front = 0, ...ports] = await freePorts(3);
  const balancer = await startBalancer(front, ports);
  t.teardown(balancer.close);
  const start = async (port: number): Promise<Webhook> => {
    const webhook = await installed.start({ port, options: ["--drain-seconds=2"] });
    t.teardown(webhook.stop);
    return webhook;
  };
  const replicas = await Promise.all(ports.map(start));
  await balancer.settled(ports);
  const load = startLoad(`https://127.0.0.1:${front}`, () => ca, { keepAlive: (client) => client % 2 === 0 });
  for (const [index, webhook] of replicas.entries()) {
    t.equal(await webhook.stop(), 0, "it ends in order");
    await start(ports[index] ?? 0);
    await balancer.settled(ports);
  }
  await load.end();
  t.ok(load.answered() > 100, `${load.answered()} answers`);
  t.strictSame(load.failures, []);
});
