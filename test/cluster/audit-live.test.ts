// `audit -A` on a real API server: admissions do what it says, nothing is written, and 10,000 pods take little memory.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Report } from "../../src/commands/inject/report.ts";
import { MAIN, plainEnv, unhooked } from "../program.ts";
import { until } from "../wait.ts";
import { connectTo, type ApiObject } from "../lab/control-plane/api.ts";
import { flowgenDeployment, flowgenPod, HOST, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";

const PODS = Number(process.env["AUDIT_PODS"] ?? 10_000);
const scene = await startScene(t, { config: ONE_TUNNEL, controllerManager: false });
const { controlPlane, installed, kubectl, apply, create } = scene;
const webhook = await installed.start();
t.teardown(webhook.stop);
const api = connectTo(controlPlane);
t.teardown(api.close);
const config = join(controlPlane.folder, "audit.yaml");
await writeFile(config, ONE_TUNNEL);

const ROLE = "flowgen-gateway-webhook-reader";
await kubectl(["create", "clusterrolebinding", "auditor", `--clusterrole=${ROLE}`, "--user=auditor"]);
const auditor = await controlPlane.signIn("auditor", { name: "auditor" });
await until("the auditor may read", async () =>
  kubectl(["auth", "can-i", "list", "cronjobs", "--as=auditor", "-A"]).then(
    () => true,
    () => false,
  ),
);

/**
 * Runs the program as a user with the chart's read-only role alone. `--report`: the last line of standard error is its
 * largest resident memory in KiB, as the kernel counted it.
 */
const audit = async (args: readonly string[], kubeconfig = auditor) => {
  const started = performance.now();
  const command = ["audit", "--cluster", "kubeconfig", "--config", config, ...args];
  const script = `process.on("exit", () => process.stderr.write("\\nrss " + process.resourceUsage().maxRSS + "\\n"))`;
  const node = [process.execPath, `--import=data:text/javascript,${encodeURIComponent(script)}`, MAIN] as const;
  const child = spawn(...unhooked(...node, ...command), {
    env: { ...plainEnv(), KUBECONFIG: kubeconfig },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  const [, rss = ""] = /^rss (\d+)$/m.exec(err) ?? [];
  return { code, out, err, mib: Number(rss) / 1024, seconds: (performance.now() - started) / 1000 };
};
const reported = async (...args: readonly string[]) => {
  const { out, err, code } = await audit([...args, "-o", "json"]);
  if (out === "") throw new Error(err);
  return { code, report: JSON.parse(out) as Report };
};

const KINDS = ["configmaps", "services", "deployments", "networkpolicies", "secrets", "events", "pods"];
/** Every object's resourceVersion. */
const versions = async (): Promise<readonly string[]> =>
  (await scene.list<ApiObject>(KINDS.join(), "-A")).map(({ kind, metadata }) =>
    [kind, metadata.namespace, metadata.name, metadata.resourceVersion].join("/"),
  );

/** Workloads that are compared with admissions, within the limits of a gateway: beyond them the order decides. */
const SAMPLE = 500;
// With and without targets that are allowed, hosts of their own and shared ones, by env that hold the host, the
// whole server, or neither.
const asking = (index: number): string => {
  const host = index % 5 === 0 ? `192.168.0.${index % 250}` : `10.0.0.${index % 80}`;
  const more = index % 7 === 0 ? "" : `, b=10.1.0.1:${2000 + (index % 90)}`;
  return index % 11 === 0
    ? JSON.stringify([{ targetHost: host, targetPort: 1433, hostEnv: "DB_HOST", portEnv: "DB_PORT" }])
    : `a=${host}:1433${more}`;
};
const envOf = (index: number): Readonly<Record<string, string>> =>
  [
    { DB: `10.0.0.${index % 80}:1433` },
    { DB: "10.0.0.1", URL: `postgres://a:b@10.1.0.1:${2000 + (index % 90)}/x` },
    {},
  ][index % 3] ?? {};
const deployments = Array.from({ length: SAMPLE }, (_, index) =>
  flowgenDeployment(index % 2 === 0 ? "team-a" : "team-b", `app-${index}`, 1, targets(asking(index)), envOf(index)),
);
const isRejected = (index: number): boolean => index % 5 === 0;
const rejectedOf = deployments.filter((_, index) => isRejected(index));
await apply(...deployments);
await apply(flowgenDeployment("team-a", "quiet", 1, {}, { DB_HOST: "10.0.0.77", DB_PORT: "1433" }));
await create(flowgenPod("team-a", "first", targets("mssql=10.0.0.5:1433"), { DB: "10.0.0.5:1433" }));

t.test("every workload against the live table; nothing is written", async (t) => {
  const before = await versions();
  const { code, report } = await reported("-A", "--suggest");
  t.equal(code, 1);
  t.strictSame(await versions(), before);
  t.match(report.summary, {
    ...{ injected: SAMPLE - rejectedOf.length, rejected: rejectedOf.length },
    unreadable: 0,
  });
  const rejectedInA = rejectedOf.filter(({ metadata }) => metadata.namespace === "team-a").length;
  t.match(report.namespaces?.["team-a"], { injected: SAMPLE / 2 - rejectedInA, rejected: rejectedInA });
  const quiet = report.workloads.find(({ workload }) => workload === "Deployment team-a/quiet");
  t.equal(quiet?.suggestion, 'flowgen.io/private-targets: "10.0.0.77:1433"');
  const first = report.workloads.find(({ workload }) => workload === "Pod team-a/first");
  t.match(first, { outcome: "skip", reason: "unchanged", targets: [{ assignment: `${HOST}:1433` }] });
});

t.test(`its answers are those of ${SAMPLE} admissions`, async (t) => {
  const { report } = await reported("-A");
  const rows = new Map(report.workloads.map((row) => [row.workload, row]));
  const differing: unknown[] = [];
  for (const { metadata, spec } of deployments) {
    const { name, namespace } = metadata;
    const row = rows.get(`Deployment ${namespace}/${name}`);
    const pod = { apiVersion: "v1", kind: "Pod", ...spec.template };
    const { status, body } = await api.ask("POST", `/api/v1/namespaces/${namespace}/pods`, {
      ...pod,
      metadata: { ...pod.metadata, name, namespace },
    });
    const said = row && [
      row.outcome,
      row.outcome === "inject" ? row.targets.map(({ assignment }) => assignment) : row.reason,
    ];
    const done = status === 201 ? ["inject", addressesOf(body)] : ["reject", reasonOf(body)];
    if (JSON.stringify(said) !== JSON.stringify(done)) differing.push([name, said, done]);
  }
  t.strictSame(differing, []);
});

const addressesOf = ({ metadata }: ApiObject): readonly string[] => {
  const status = JSON.parse(metadata.annotations?.["flowgen.io/gateway-status"] ?? "") as {
    targets: Record<string, { address: string }>;
  };
  return Object.values(status.targets).map(({ address }) => address);
};
/** Of `admission webhook "…" denied the request: REASON: …`. */
const reasonOf = (body: ApiObject): string | undefined =>
  /denied the request: ([a-z-]+): /.exec(String(body["message"]))?.[1];

t.test("one namespace, a page, and a user who may not read", async (t) => {
  const { report } = await reported("-n", "team-b");
  t.strictSame([...new Set(report.workloads.map(({ namespace }) => namespace))], ["team-b"]);
  const page = await audit(["-A", "-o", "html"]);
  t.match(page.out, /^<!doctype html>/);
  t.notMatch(page.out, /<(img|link|iframe)|src=|https?:\/\/(?!www\.w3\.org)/, "no request to anywhere");
  const somebody = await controlPlane.signIn("nobody", { name: "nobody" });
  t.match(await audit(["-A"], somebody), { code: 2, err: /deployments.*forbidden/ });
});

t.test(`${PODS / 2} and ${PODS} pods in flat memory`, { timeout: 280_000 }, async (t) => {
  await kubectl(["create", "namespace", "many"]);
  await kubectl(["create", "serviceaccount", "default", "--namespace=many"]);
  const create = async (from: number, to: number): Promise<void> => {
    const queue = Array.from({ length: to - from }, (_, index) => from + index);
    const worker = async (): Promise<void> => {
      for (let index = queue.pop(); index !== undefined; index = queue.pop()) {
        const asks = index % 100 === 0 ? targets("mssql=10.0.0.5:1433") : {};
        const pod = flowgenPod("many", `pod-${index}`, asks, { A: "b" });
        const { status } = await api.ask("POST", "/api/v1/namespaces/many/pods", pod);
        if (status !== 201) throw new Error(`pod-${index}: ${status}`);
      }
    };
    await Promise.all(Array.from({ length: 40 }, worker));
  };
  const mibs: number[] = [];
  for (const pods of [PODS / 2, PODS]) {
    await create((mibs.length * pods) / 2, pods);
    const { code, mib, seconds, err } = await audit(["-n", "many"]);
    t.equal(code, 0, err);
    t.match(err, `${pods - pods / 100} workloads that ask for nothing`);
    t.comment(`${pods} pods in ${seconds.toFixed(1)} s and ${mib.toFixed(0)} MiB`);
    mibs.push(mib);
  }
  const [half = 0, whole = 0] = mibs;
  t.ok(whole < 300, `${whole.toFixed(0)} MiB`);
  t.ok(whole < 1.2 * half, `twice the pods: ${half.toFixed(0)} and ${whole.toFixed(0)} MiB`);
});
