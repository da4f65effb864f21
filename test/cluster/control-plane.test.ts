// The harness itself: it starts what it says, brings components back, and leaves nothing behind, whatever ends it.
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { startControlPlane } from "./control-plane.ts";
import type { ControlPlane } from "./control-plane.ts";

const deployment = (replicas: number): string =>
  JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "sleeper" },
    spec: {
      replicas,
      selector: { matchLabels: { app: "sleeper" } },
      template: {
        metadata: { labels: { app: "sleeper" } },
        spec: { containers: [{ name: "main", image: "example.test/sleeper:1" }] },
      },
    },
  });

const apply = ["apply", "--server-side", "--field-manager=harness-test", "-f", "-"];

// Each process of a cluster names its folder in its command line.
function processesOf(folder: string): string[] {
  const { stdout } = spawnSync("ps", ["-Aww", "-o", "args="], { encoding: "utf8" });
  return stdout.split("\n").filter((line) => line.includes(folder));
}

async function until(check: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (await check()) return true;
    await sleep(50);
  }
  return false;
}

async function podCount({ kubectl }: ControlPlane): Promise<number> {
  const { stdout } = await kubectl(["get", "pods", "-l", "app=sleeper", "-o", "name"]);
  return stdout.split("\n").filter(Boolean).length;
}

void t.test("a control plane", async (t) => {
  const cluster = await startControlPlane();
  t.teardown(cluster.stop);
  const { kubectl, folder } = cluster;

  await t.test("answers kubectl", async (t) => {
    const { code, stdout, stderr } = await kubectl(["get", "namespaces", "-o", "name"]);
    t.match({ code, stderr }, { code: 0, stderr: "" });
    t.match(stdout, "namespace/default");
  });

  await t.test("says what kubectl says when something is wrong", async (t) => {
    const { code, stdout, stderr } = await kubectl(["get", "pod", "nobody"]);
    t.match({ code, stdout }, { code: 1, stdout: "" });
    t.match(stderr, "NotFound");
  });

  await t.test("applies on the server side, and its controllers make pods", async (t) => {
    const { code, stdout, stderr } = await kubectl(apply, { input: deployment(2) });
    t.match({ code, stdout, stderr }, { code: 0, stdout: "deployment.apps/sleeper serverside-applied", stderr: "" });
    t.ok(await until(async () => (await podCount(cluster)) === 2));
  });

  await t.test("keeps its objects when the API server is restarted", async (t) => {
    await cluster.restart("kube-apiserver");
    t.equal(await podCount(cluster), 2);
    await kubectl(apply, { input: deployment(3) });
    t.ok(await until(async () => (await podCount(cluster)) === 3), "the controllers have come back too");
  });

  await t.test("can lose a component and get it back", async (t) => {
    await cluster.kill("kube-apiserver");
    const { code, stderr } = await kubectl(["get", "namespaces"]);
    t.equal(code, 1);
    t.match(stderr, "refused");
    await cluster.restart("kube-apiserver");
    await cluster.restart("etcd");
    t.equal(await podCount(cluster), 3);
  });

  await t.test("shows its logs", async (t) => {
    t.match(await cluster.log("kube-apiserver"), "Serving securely on 127.0.0.1");
  });

  await t.test("leaves nothing when it is stopped", async (t) => {
    t.ok(processesOf(folder).length >= 3);
    await cluster.stop();
    t.strictSame(processesOf(folder), []);
    t.notOk(existsSync(folder));
  });
});

void t.test("without a controller manager, and with flags of the caller's", async (t) => {
  const log = join(t.testdir(), "audit.log");
  const policy = join(t.testdir({ "policy.json": auditPolicy }), "policy.json");
  const flags = [`--audit-log-path=${log}`, `--audit-policy-file=${policy}`];
  const cluster = await startControlPlane({ controllerManager: false, flags: { "kube-apiserver": flags } });
  t.teardown(cluster.stop);
  const { code, stderr } = await cluster.kubectl(["run", "alone", "--image=example.test/alone:1"]);
  t.match({ code, stderr }, { code: 0, stderr: "" });
  t.ok(existsSync(log));
});

const auditPolicy = JSON.stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", rules: [{ level: "Metadata" }] });

void t.test("a flag that does not exist is an error with the program's own words", async (t) => {
  const flags = { "kube-apiserver": ["--no-such-flag"] };
  await t.rejects(startControlPlane({ flags }), { message: /kube-apiserver ended .*unknown flag: --no-such-flag/s });
});

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
  void t.test(`nothing is left when the process that started it gets ${signal}`, async (t) => {
    const owner = spawn(process.execPath, [join(import.meta.dirname, "main.ts")], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    t.teardown(() => owner.kill("SIGKILL"));
    const folder = await folderPrinted(owner);
    t.ok(processesOf(folder).length >= 4);
    owner.kill(signal);
    const [code] = (await once(owner, "exit")) as [number | null];
    t.equal(code, signal === "SIGKILL" ? null : 0);
    t.ok(await until(() => processesOf(folder).length === 0 && !existsSync(folder)));
  });
}

async function folderPrinted(owner: ChildProcess): Promise<string> {
  let printed = "";
  for await (const chunk of owner.stdout ?? []) {
    printed += String(chunk);
    const kubeconfig = /KUBECONFIG=(.*)\n/.exec(printed)?.[1];
    if (kubeconfig) return dirname(dirname(kubeconfig));
  }
  throw new Error(`no kubeconfig was printed, but: ${printed}`);
}
