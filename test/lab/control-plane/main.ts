// `npm run cluster`: a control plane with the webhook registered in it and serving from source, to work with by hand,
// until Ctrl-C.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startControlPlane } from "./control-plane.ts";
import type { ControlPlane } from "./control-plane.ts";
import { freePorts } from "./ports.ts";
import { findPrograms } from "./programs.ts";
import { serveFromSource } from "./serve-from-source.ts";
import type { FromSource } from "./serve-from-source.ts";
import { install, kubectl } from "./webhook.ts";
import { root } from "../../program.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Registers the webhook with the config in examples/ and serves it. */
async function serveWebhook(cluster: ControlPlane): Promise<FromSource> {
  const [port = 0] = await freePorts(1);
  const config = await readFile(join(root, "examples/webhook-config.yaml"), "utf8");
  const installed = await install(cluster, config, port);
  for (const namespace of ["team-a", "team-b"]) await kubectl(cluster, ["create", "namespace", namespace]);
  // As an installation does: what is changed by hand is put right within a minute.
  const options = ["--repair-seconds=30"];
  return serveFromSource(() => installed.start({ onLine: say, options }), join(root, "src"), say);
}

async function explain({ url, folder, kubeconfig }: ControlPlane): Promise<void> {
  const programs = await findPrograms([]);
  say(`
The API server listens on ${url}; logs are in ${folder}/logs.
The webhook serves from source, starts again when src changes, and logs here. Its config is ${folder}/webhook.yaml:
edit it, and it is read again. It all runs until Ctrl-C. In another terminal:

  export KUBECONFIG=${kubeconfig} PATH=${programs}:$PATH
  kubectl apply -f examples/flowgen-deployments.yaml
  kubectl get pods,deployments,services,configmaps,networkpolicies -A
  npm run -s flowgen-gateway -- check --config ${folder}/webhook.yaml
`);
}

const stopped = new Promise<undefined>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      resolve(undefined);
    });
  }
});
// A promise alone does not keep a process running.
const alive = setInterval(() => undefined, 2 ** 30);

const cluster = await Promise.race([startControlPlane({ scheduler: true, verbose: true }), stopped]);
// Stopped while it started: what there is of it ends with this process.
if (!cluster) process.exit(130);
try {
  const webhook = await serveWebhook(cluster);
  await explain(cluster);
  await stopped;
  await webhook.stop();
} finally {
  await cluster.stop();
  clearInterval(alive);
}
