// `npm run cluster`: a control plane to work with by hand, until Ctrl-C.
import { startControlPlane } from "./control-plane.ts";
import type { ControlPlane } from "./control-plane.ts";

/** What is done while the cluster is up, until `stopped` comes true. */
async function work({ url, folder, kubeconfig }: ControlPlane, stopped: Promise<unknown>): Promise<void> {
  process.stdout.write(`The API server listens on ${url}; logs are in ${folder}/logs.\n`);
  process.stdout.write("It runs until Ctrl-C. In another terminal:\n\n");
  process.stdout.write(`  export KUBECONFIG=${kubeconfig}\n\n`);
  await stopped;
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
  await work(cluster, stopped);
} finally {
  await cluster.stop();
  clearInterval(alive);
}
