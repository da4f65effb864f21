/**
 * `npm run bench`: the cost of an admission while all targets are cached. The bundle itself (`serve --cluster
 * memory`) is compared with bare Fastify, both with the flags of Node that the image has. Bare Fastify parses the
 * same reviews and answers with as many bytes. Both serve TLS on keep-alive connections from a third process, in
 * alternating rounds; medians count. Beside them runs the least that any webhook does for a pod: parsing, and a
 * patch of the parsed containers. Each kind of round is warmed up until the table is read again, so that all rounds
 * fall between two readings. V8 goes on compiling for unseen pods until some 20,000 of them. At the end a profile of
 * another run says where the CPU time goes. Exit 1 when a warm admission called the API server.
 */
import { CACHE_MS } from "../../src/core/forwards/retire.ts";
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import type { BareSetup } from "./bare.ts";
import type { Account, Order } from "./load.ts";
import { sharesOf } from "./profile.ts";
import { NODE_FLAGS } from "../lab/image/entry-point.ts";
import { root } from "../program.ts";

const CONNECTIONS = 64;
const ROUNDS = 7;
/** All rounds together end before the cached table is 30 s old and is read again. */
const ROUND_MS = 900;
const PROFILE_MS = 5000;
/** While warming up. The cost of a stranger falls until some 20,000 were served. */
const STRANGERS_ROUNDS = 3;
/** A gateway is read again when its cached table is 30 s old. */
const READING_CALLS = 6;
const GOAL = 1.25;
const STRANGERS_GOAL = 2;

const recorded = readFileSync(`${root}/test/fixtures/reviews/review-pod-create.json`, "utf8");
/**
 * Reviews of `pods` pods of `workloads` workloads, each like the recorded one, as an API server writes them: without
 * white space. The pods of a workload differ in what an API server makes up: the request's uid, and the name of the
 * token's volume.
 */
const reviewsOf = (workloads: number, pods: number): readonly string[] =>
  Array.from({ length: pods }, (_, pod) => {
    const workload = (pod % workloads).toString(16).padStart(5, "0");
    const text = recorded
      .replaceAll("9cbd598c6", `9cbd${workload}`)
      .replaceAll("s3cret", `s3cret${workload}`)
      .replaceAll("kube-api-access-ttndz", `kube-api-access-${pod.toString(36).padStart(5, "0")}`);
    const review = JSON.parse(text) as { request: { uid: string } };
    review.request.uid = randomUUID();
    return JSON.stringify(review);
  });
/** As a cluster asks: a few workloads with many pods. */
const alike = reviewsOf(16, 512);
/** The worst that may be asked: more workloads than anything is kept for, and never a pod like one before. */
const strangers = reviewsOf(4096, 4096);
const folder = mkdtempSync(join(tmpdir(), "flowgen-gateway-bench-"));
const children: ChildProcess[] = [];

type Server = { readonly port: number; readonly cpuMicros: () => Promise<number> };
type Round = { readonly perSecond: number; readonly micros: number };

/** One core for both servers, which never work at the same time, and one for the client. */
const pin = (child: ChildProcess, core: number): ChildProcess => {
  children.push(child);
  spawnSync("taskset", ["-a", "-c", "-p", String(core), String(child.pid)]);
  return child;
};

type Program = { readonly main: "dist/main.js" | "src/main.ts"; readonly nodeFlags: readonly string[] };

const startWebhook = async (certificate: { cert: string; key: string }, { main, nodeFlags }: Program) => {
  writeFileSync(join(folder, "tls.crt"), certificate.cert);
  writeFileSync(join(folder, "tls.key"), certificate.key);
  const flags = [
    "--cluster",
    "memory",
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--metrics-port",
    "0",
    "--drain-seconds",
    "0",
    // The looks at a gateway that starts are no admission's: no pod of it ever starts here.
    "--repair-seconds",
    "0",
  ];
  const files = [
    "--config",
    "examples/webhook-config.yaml",
    "--tls-cert",
    join(folder, "tls.crt"),
    "--tls-key",
    join(folder, "tls.key"),
  ];
  const child = spawn(process.execPath, [...nodeFlags, main, "serve", ...flags, ...files], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  pin(child, 0);
  const { url, metrics } = await serving(child);
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(metrics)).text();
    const samples = text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, "gm"));
    return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
  };
  return {
    port: Number(new URL(url).port),
    cpuMicros: async () => (await metric("process_cpu_seconds_total")) * 1e6,
    apiCalls: () => metric("flowgen_gateway_api_calls_total"),
    stop: async () => {
      const exited = once(child, "exit");
      child.kill("SIGINT");
      await exited;
    },
  };
};

/** Reads the log, as its collector does; the line "serving" has the address. */
const serving = (child: ChildProcess): Promise<{ url: string; metrics: string }> =>
  new Promise((resolve, reject) => {
    if (child.stdout === null) throw new Error("no log");
    const lines = createInterface(child.stdout);
    lines.on("line", (line) => {
      if (!line.includes('"serving"')) return;
      resolve(JSON.parse(line) as { url: string; metrics: string });
      lines.close();
      child.stdout?.resume();
    });
    child.once("exit", () => reject(new Error("the webhook did not start")));
  });

const startBare = async (setup: BareSetup): Promise<Server> => {
  const child = pin(fork(`${root}/test/bench/bare.ts`, { execArgv: NODE_FLAGS }), 0);
  const ask = async (message: object): Promise<number> => {
    const reply = once(child, "message");
    child.send(message);
    return ((await reply) as [number])[0];
  };
  return { port: await ask(setup), cpuMicros: () => ask({}) };
};

const ask = (port: number, ca: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const call = request(
      {
        port,
        host: "127.0.0.1",
        path: "/mutate?timeout=10s",
        method: "POST",
        ca,
        headers: { "content-type": "application/json" },
      },
      (response) => {
        response
          .setEncoding("utf8")
          .toArray()
          .then((parts) => resolve(parts.join("")), reject);
      },
    );
    call.on("error", reject).end(alike[0]);
  });

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

const bench = async (): Promise<0 | 1> => {
  const certificate = await makeServingCertificate(["localhost", "127.0.0.1"], 1, new Date());
  const webhook = await startWebhook(certificate, { main: "dist/main.js", nodeFlags: NODE_FLAGS });
  const answer = await ask(webhook.port, certificate.ca);
  const bare = await startBare({ ...certificate, answer });
  const least = await startBare(certificate);
  const client = pin(fork(`${root}/test/bench/load.ts`), 1);
  const load = async (port: number, ms: number, bodies = alike): Promise<number> => {
    const reply = once(client, "message");
    client.send({ port, ca: certificate.ca, bodies, connections: CONNECTIONS, ms } satisfies Order);
    const { answered, failed } = ((await reply) as [Account])[0];
    if (failed > 0) throw new Error(`${failed} requests failed`);
    return answered;
  };
  const round = async ({ port, cpuMicros }: Server, bodies = alike): Promise<Round> => {
    const before = await cpuMicros();
    const started = performance.now();
    const answered = await load(port, ROUND_MS, bodies);
    const seconds = (performance.now() - started) / 1000;
    return { perSecond: answered / seconds, micros: ((await cpuMicros()) - before) / answered };
  };
  const first = await webhook.apiCalls();
  console.log("warming up, until the cached table has been read a second time (30 s)");
  while ((await webhook.apiCalls()) === first) {
    await round(bare);
    await round(webhook);
    await round(least, strangers);
    for (let count = 0; count < STRANGERS_ROUNDS; count += 1) await round(webhook, strangers);
  }
  const started = performance.now();
  const calls = await webhook.apiCalls();
  const rounds: Record<"bare" | "webhook" | "least" | "strangers", Round>[] = [];
  for (let count = 0; count < ROUNDS; count += 1)
    rounds.push({
      bare: await round(bare),
      webhook: await round(webhook),
      least: await round(least, strangers),
      strangers: await round(webhook, strangers),
    });
  const warmCalls = (await webhook.apiCalls()) - calls;
  const warmMs = performance.now() - started;
  const tell = (name: keyof (typeof rounds)[number]): void => {
    const perSecond = median(rounds.map((each) => each[name].perSecond));
    const micros = median(rounds.map((each) => each[name].micros));
    console.log(
      `${name.padEnd(9)} ${perSecond.toFixed(0).padStart(7)} admissions/s ${micros.toFixed(1).padStart(7)} µs CPU each`,
    );
  };
  tell("bare");
  tell("webhook");
  tell("least");
  tell("strangers");
  const ratioOf = (name: "webhook" | "least" | "strangers", to: "bare" | "least" = "bare"): string =>
    median(rounds.map((each) => each[name].micros / each[to].micros)).toFixed(2);
  console.log(`CPU per request: ${ratioOf("webhook")} × bare Fastify (goal: ${GOAL})`);
  console.log(`where no pod is like another: ${ratioOf("strangers")} × bare Fastify (goal: ${STRANGERS_GOAL})`);
  console.log(`the least for a pod, parsed and patched: ${ratioOf("least")} × bare Fastify`);
  console.log(`where no pod is like another: ${ratioOf("strangers", "least")} × that least`);
  console.log(`API calls while warm: ${warmCalls}`);
  await webhook.stop();

  // The sources: the parts have their names there.
  const profiled = await startWebhook(certificate, {
    main: "src/main.ts",
    nodeFlags: [...NODE_FLAGS, "--cpu-prof", "--cpu-prof-interval=200", `--cpu-prof-dir=${folder}`],
  });
  await load(profiled.port, 2 * PROFILE_MS);
  await load(profiled.port, PROFILE_MS);
  await profiled.stop();
  const micros = median(rounds.map((each) => each.webhook.micros));
  console.log(
    "where the time goes (what is built into Node counts for its caller: JSON.parse of the body for src/core/schema.ts)",
  );
  for (const [part, share] of sharesOf(folder, PROFILE_MS))
    if (share >= 0.01) console.log(`${(share * micros).toFixed(1).padStart(7)} µs  ${part}`);
  // A reading may be under way when the warm-up ends, or begin before the last round does.
  return warmCalls <= READING_CALLS * (1 + Math.floor(warmMs / CACHE_MS)) ? 0 : 1;
};

try {
  process.exitCode = await bench();
} finally {
  children.forEach((child) => child.kill());
  rmSync(folder, { recursive: true });
}
