/**
 * Fills Node's compile cache at image build (NODE_COMPILE_CACHE names it): what the webhook loads until its first answer, compiled. It
 * runs as it will in the cluster, answers one review, and ends cleanly, which is when Node writes the cache.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "compile-cache-"));
/** A cluster that is never asked: the review below is of no pod. */
const kubeconfig = JSON.stringify({
  apiVersion: "v1",
  kind: "Config",
  "current-context": "none",
  contexts: [{ name: "none", context: { cluster: "none", user: "none" } }],
  clusters: [{ name: "none", cluster: { server: "https://127.0.0.1:1" } }],
  users: [{ name: "none", user: { token: "none" } }],
});
const review = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid: "1", operation: "CREATE", resource: { group: "", version: "v1", resource: "nodes" }, object: {} },
});

let program: ChildProcess | undefined;
try {
  writeFileSync(join(folder, "kubeconfig"), kubeconfig);
  const flags = [
    "--cluster",
    "kubeconfig",
    "--plain-http",
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--metrics-port",
    "0",
  ];
  const config = ["--config", join(root, "examples/webhook-config.yaml"), "--drain-seconds", "0"];
  const server = spawn(process.execPath, [join(root, "dist/main.js"), "serve", ...flags, ...config], {
    env: { ...process.env, KUBECONFIG: join(folder, "kubeconfig") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  program = server;
  const exited = once(server, "exit");
  let log = "";
  server.stdout.setEncoding("utf8").on("data", (more: string) => (log += more));
  let url: string | undefined;
  while (url === undefined) {
    await Promise.race([once(server.stdout, "data"), exited]);
    if (server.exitCode !== null) throw new Error(`the webhook did not start: ${log}`);
    url = /"url":"([^"]+)".*"serving"/.exec(log)?.[1];
  }
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}/mutate?timeout=10s`, { method: "POST", headers, body: review });
  if (answer.status !== 200) throw new Error(`the webhook answered ${answer.status}: ${await answer.text()}`);
  server.kill("SIGTERM");
  const [code] = (await exited) as [number | null];
  if (code !== 0) throw new Error(`the webhook ended with ${String(code)}: ${log}`);
} finally {
  program?.kill();
  rmSync(folder, { recursive: true });
}
