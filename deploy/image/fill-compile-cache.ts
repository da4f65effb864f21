/**
 * Fills Node's compile cache at image build (NODE_COMPILE_CACHE names it): what the webhook runs until its first answer, compiled. It
 * runs as it will in the cluster, with the flags of Node that this script was given. It makes a gateway for one pod, and ends cleanly.
 * At a clean end Node and the program write the cache.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "compile-cache-"));
/** An API server of an empty cluster, as far as one admission needs it: it has nothing, and takes what is applied. */
const apiServer = createServer((request, response) => {
  void text(request).then((body) => {
    const isList = request.url?.includes("labelSelector") === true;
    const applied = body === "" ? undefined : (JSON.parse(body) as { readonly metadata: object });
    response.writeHead(applied || isList ? 200 : 404, { "content-type": "application/json" });
    if (applied)
      response.end(JSON.stringify({ ...applied, metadata: { ...applied.metadata, uid: "1", resourceVersion: "2" } }));
    else response.end(isList ? `{"metadata":{},"items":[]}` : `{"kind":"Status","reason":"NotFound"}`);
  });
});
apiServer.listen(0, "127.0.0.1");
await once(apiServer, "listening");
const server = `http://127.0.0.1:${(apiServer.address() as AddressInfo).port}`;
const kubeconfig = JSON.stringify({
  apiVersion: "v1",
  kind: "Config",
  "current-context": "none",
  contexts: [{ name: "none", context: { cluster: "none", user: "none" } }],
  clusters: [{ name: "none", cluster: { server, "insecure-skip-tls-verify": true } }],
  users: [{ name: "none", user: { token: "none" } }],
});
const review = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "1",
    operation: "CREATE",
    resource: { group: "", version: "v1", resource: "pods" },
    namespace: "team-a",
    object: {
      metadata: {
        labels: { app: "flowgen", "app.kubernetes.io/name": "flowgen" },
        annotations: { "flowgen.io/private-targets": "mssql=10.0.0.5:1433" },
      },
      spec: { containers: [{ name: "flowgen", env: [{ name: "DB", value: "10.0.0.5:1433" }] }] },
    },
  },
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
  const webhook = spawn(
    process.execPath,
    [...process.execArgv, join(root, "dist/main.js"), "serve", ...flags, ...config],
    {
      env: { ...process.env, KUBECONFIG: join(folder, "kubeconfig") },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  program = webhook;
  const exited = once(webhook, "exit");
  let log = "";
  webhook.stdout.setEncoding("utf8").on("data", (more: string) => (log += more));
  let url: string | undefined;
  while (url === undefined) {
    await Promise.race([once(webhook.stdout, "data"), exited]);
    if (webhook.exitCode !== null) throw new Error(`the webhook did not start: ${log}`);
    url = /"url":"([^"]+)".*"serving"/.exec(log)?.[1];
  }
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}/mutate?timeout=10s`, { method: "POST", headers, body: review });
  const told = await answer.text();
  if (answer.status !== 200 || !told.includes('"patch"'))
    throw new Error(`the webhook answered ${answer.status}: ${told}`);
  webhook.kill("SIGTERM");
  const [code] = (await exited) as [number | null];
  if (code !== 0) throw new Error(`the webhook ended with ${String(code)}: ${log}`);
} finally {
  program?.kill();
  apiServer.close();
  rmSync(folder, { recursive: true });
}
