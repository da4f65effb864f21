/**
 * `npm run bench:start`: the time from the start of the process to the first answer, on a cold start. The bundle in a
 * pod's place, with its ServiceAccount's files and a real API server, makes a new gateway for its first pod. Bundled
 * bare Fastify answers a constant. Both serve plain HTTP, as on a platform that ends TLS itself, and both have a filled
 * compile cache. The webhook has the flags of the image. In turns, medians. Printed are time, CPU time (which a cold
 * start costs on any machine, however busy) and the memory at rest. ROUNDS (7). Exit 1 when memory or bundle miss their
 * goal.
 *
 * It runs in a mount namespace of its own, where a pod's files can be put where a pod has them.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { builtins, bundle } from "../../../bundle.ts";
import { type ControlPlane, startControlPlane } from "../../lab/control-plane/control-plane.ts";
import { reviewOf } from "../../lab/control-plane/mutate.ts";
import { flowgenPod, GATEWAY, targets } from "../../lab/control-plane/scene.ts";
import { install, kubectl } from "../../lab/control-plane/webhook.ts";
import { NODE_FLAGS } from "../../lab/image/entry-point.ts";
import { root } from "../../program.ts";
import { type StartCommand, type MeasuredStart, started } from "./started.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 7);
const GOAL = { ratio: 1.5, moreMiB: 25, bundleBytes: 3e6 };
const ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount";

/** A pod of the webhook's ServiceAccount: its files, and the variables with the API server's address. */
const becomePod = async (controlPlane: ControlPlane): Promise<Readonly<Record<string, string>>> => {
  await install(controlPlane, "gateways: []", 1);
  const name = "flowgen-gateway-webhook";
  const token = await kubectl(controlPlane, ["create", "token", name, `--namespace=${name}`]);
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", "/run"]);
  mkdirSync(ACCOUNT, { recursive: true });
  for (const [file, text] of Object.entries({ "ca.crt": controlPlane.ca, token: token.trim(), namespace: name }))
    writeFileSync(join(ACCOUNT, file), text);
  const { hostname, port } = new URL(controlPlane.url);
  return { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
};

const bench = async (folder: string, controlPlane: ControlPlane): Promise<0 | 1> => {
  const pod = await becomePod(controlPlane);
  // With the compilers of JSON schemas, which Fastify as it comes makes at its start.
  await bundle(root, join(folder, "bare"), ["test/bench/start/bare.ts"], [builtins]);
  cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
  const body = reviewOf(flowgenPod("default", "cold", targets("mssql=10.0.0.5:1433"), { DB: "10.0.0.5:1433" }));
  const cached = { NODE_COMPILE_CACHE: join(folder, "cache"), NODE_ENV: "production" };
  const bare: StartCommand = { args: [join(folder, "bare/bare.js")], env: cached };
  let gateways = 0;
  /** A gateway that no start before has made. */
  const webhook = (env = cached): StartCommand => {
    const config = join(folder, `config-${++gateways}.yaml`);
    const tunnels = [{ name: "wg0", secretName: `wg-${gateways}`, allowedTargets: ["10.0.0.0/8"] }];
    writeFileSync(config, stringify({ gateways: [{ ...GATEWAY, name: `cold-${gateways}`, tunnels }] }));
    const flags = ["--plain-http", "--host=127.0.0.1", "--port=0", "--metrics-port=0", "--drain-seconds=0"];
    return {
      args: [...NODE_FLAGS, join(folder, "dist/main.js"), "serve", `--config=${config}`, ...flags],
      env: { ...env, ...pod },
    };
  };
  const cold = async (env?: typeof cached): Promise<MeasuredStart> => {
    const start = await started(webhook(env), body);
    if (!start.answer.includes('"patch"')) throw new Error(`no patch: ${start.answer}`);
    return start;
  };
  await started(bare, body); // both fill the cache
  await cold();
  const rounds: { readonly bare: MeasuredStart; readonly webhook: MeasuredStart }[] = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({ bare: await started(bare, body), webhook: await cold() });
  return tell(rounds, bytesOf(join(folder, "dist")));
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

const tell = (
  rounds: readonly { readonly bare: MeasuredStart; readonly webhook: MeasuredStart }[],
  bytes: number,
): 0 | 1 => {
  const of = (who: "bare" | "webhook", what: "ms" | "cpuMs" | "restMiB") => median(rounds.map((r) => r[who][what]));
  for (const who of ["bare", "webhook"] as const)
    console.log(
      `${who.padEnd(8)} first answer after ${of(who, "ms").toFixed(0).padStart(4)} ms, ${of(who, "cpuMs").toFixed(0).padStart(4)} ms CPU; ` +
        `${of(who, "restMiB").toFixed(0).padStart(4)} MiB at rest`,
    );
  const ratio = of("webhook", "cpuMs") / of("bare", "cpuMs");
  const moreMiB = of("webhook", "restMiB") - of("bare", "restMiB");
  console.log(
    `time ${(of("webhook", "ms") / of("bare", "ms")).toFixed(2)} ×, CPU ${ratio.toFixed(2)} × bare Fastify (goal ${GOAL.ratio}); ` +
      `memory + ${moreMiB.toFixed(0)} MiB (goal ${GOAL.moreMiB}); bundle ${(bytes / 1e6).toFixed(2)} MB (goal ${GOAL.bundleBytes / 1e6})`,
  );
  return moreMiB <= GOAL.moreMiB && bytes <= GOAL.bundleBytes ? 0 : 1;
};

const bytesOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);

const run = async (): Promise<0 | 1> => {
  const folder = mkdtempSync(join(tmpdir(), "flowgen-gateway-start-"));
  const controlPlane = await startControlPlane({ controllerManager: false });
  try {
    return await bench(folder, controlPlane);
  } finally {
    await controlPlane.stop();
    rmSync(folder, { recursive: true });
  }
};

const [isApart] = process.argv.slice(2);
const self = [process.execPath, import.meta.filename, "apart"];
process.exitCode =
  isApart === undefined
    ? (spawnSync("unshare", ["--mount", "--propagation", "private", ...self], { stdio: "inherit" }).status ?? 1)
    : await run();
