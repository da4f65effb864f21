// The harness itself: it starts its components, restarts them, and leaves nothing behind after any end.
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import type { ControlPlane } from "../lab/control-plane/control-plane.ts";
import { kubectlWith } from "../lab/control-plane/kubectl.ts";
import { findPrograms } from "../lab/control-plane/programs.ts";
import { flowgenPod, HOST, targets } from "../lab/control-plane/scene.ts";
import { serveFromSource } from "../lab/control-plane/serve-from-source.ts";
import { until } from "../wait.ts";

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
    await until("two pods", async () => (await podCount(cluster)) === 2);
  });

  await t.test("keeps its objects when the API server is restarted", async (t) => {
    await cluster.restart("kube-apiserver");
    t.equal(await podCount(cluster), 2);
    await kubectl(apply, { input: deployment(3) });
    await until("three pods: the controllers run again", async () => (await podCount(cluster)) === 3);
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

for (const signal of ["SIGINT", "SIGKILL"] as const) {
  void t.test(`npm run cluster: the webhook serves, and nothing is left after ${signal}`, async (t) => {
    const owner = spawn(process.execPath, [join(import.meta.dirname, "../lab/control-plane/main.ts")], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    t.teardown(() => owner.kill("SIGKILL"));
    const kubeconfig = await kubeconfigPrinted(owner);
    const folder = dirname(dirname(kubeconfig));
    t.ok(processesOf(folder).some((line) => line.includes("src/main.ts serve")));
    t.ok(processesOf(folder).length >= 5);
    if (signal === "SIGINT") await t.test("kubectl meets the webhook", () => redirects(kubeconfig));
    owner.kill(signal);
    const [code] = (await once(owner, "exit")) as [number | null];
    t.equal(code, signal === "SIGKILL" ? null : 0);
    await until("nothing is left", () => processesOf(folder).length === 0 && !existsSync(folder));
  });
}

async function kubeconfigPrinted({ stdout }: ChildProcess): Promise<string> {
  let printed = "";
  stdout?.on("data", (chunk) => (printed += String(chunk)));
  const found = (): string | undefined => /KUBECONFIG=(\S+) /.exec(printed)?.[1];
  await Promise.race([until("a kubeconfig", () => found() !== undefined, 60_000), stdout && once(stdout, "end")]);
  const kubeconfig = found();
  if (kubeconfig === undefined) throw new Error(`no kubeconfig was printed, but: ${printed}`);
  return kubeconfig;
}

async function redirects(kubeconfig: string): Promise<void> {
  const kubectl = kubectlWith(join(await findPrograms([]), "kubectl"), kubeconfig, dirname(kubeconfig));
  const pod = JSON.stringify(
    flowgenPod("team-a", "p", targets("mssql=10.0.0.5:1433"), { MSSQL_HOST: "10.0.0.5", MSSQL_PORT: "1433" }),
  );
  const create = () => kubectl(["create", "--dry-run=server", "-o", "json", "-f", "-"], { input: pod });
  // Its namespace is as new as the cluster: it takes pods when it has its ServiceAccount.
  await until("a pod is redirected", async () => (await create()).stdout.includes(`"value": "${HOST}"`));
}

void t.test(
  "the inner loop: a changed source is served, one that does not start is reported, and the next one is tried",
  async (t) => {
    const folder = t.testdir({ deep: { "file.ts": "1" } });
    const happened: string[] = [];
    let isBroken = false;
    const start = () => {
      if (isBroken) return Promise.reject(new Error("the webhook ended"));
      happened.push("start");
      const stop = (): Promise<number> => Promise.resolve(happened.push("stop"));
      return Promise.resolve({ stop });
    };
    const said: string[] = [];
    const loop = await serveFromSource(start, folder, (line) => said.push(line));
    const change = async (content: string, times: number): Promise<void> => {
      writeFileSync(join(folder, "deep", "file.ts"), content);
      await until(`${times} reports`, () => said.length === times);
    };
    await change("2", 1);
    isBroken = true;
    await change("3", 2);
    isBroken = false;
    await change("4", 3);
    await loop.stop();
    t.strictSame(happened, ["start", "stop", "start", "stop", "start", "stop"]);
    t.match(said, [/serves the new one/, /does not start .*the webhook ended/, /serves the new one/]);
  },
);

void t.test("build.sh without the programs and without Go says what is missing and how to get it", (t) => {
  const tools = t.testdir(
    Object.fromEntries(
      ["bash", "dirname", "awk", "cat", "cksum", "uname"].map((tool) => {
        const { stdout } = spawnSync("sh", ["-c", `command -v ${tool}`], { encoding: "utf8" });
        return [tool, t.fixture("symlink", stdout.trim())];
      }),
    ),
  );
  const build = (env: object): object =>
    spawnSync(join(import.meta.dirname, "../lab/control-plane/build.sh"), [], {
      env: { PATH: tools, FLOWGEN_TEST_CACHE: join(tools, "cache"), ...env },
      encoding: "utf8",
    });
  const missing =
    /programs are not in \S+\/cache\/bin, .* needs Go, which is not in PATH[^]*install Go 1\.\d+.* or newer \(https:[^]*KUBEBUILDER_ASSETS/;
  t.match(build({}), { status: 1, stdout: "", stderr: missing });
  t.notOk(existsSync(join(tools, "cache")));
  t.match(build({ KUBEBUILDER_ASSETS: tools }), {
    status: 1,
    stdout: "",
    stderr: /has no etcd: put it there, or unset/,
  });
  t.end();
});
