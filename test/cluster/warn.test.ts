// The warnings of `kubectl apply` of a workload, on a real API server.
import t, { type Test } from "tap";
import { flowgenDeployment, HOST, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";
import { eventually } from "../wait.ts";

const scene = await startScene(t, { config: ONE_TUNNEL, controllerManager: false });
let webhook = await scene.installed.start();
t.teardown(() => webhook.stop());

const said = async (object: object) => {
  const { code, stderr } = await scene.controlPlane.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object) });
  return { code, warnings: stderr.split("\n").filter((line) => line !== "") };
};
const deployment = (name: string, text: string, env = {}) => flowgenDeployment("team-a", name, 1, targets(text), env);
t.test("the warning of a Deployment names the addresses of its targets", async (t) => {
  t.match(await said(deployment("good", "mssql=10.0.0.5:1433")), {
    code: 0,
    warnings: [`Warning: injected: 10.0.0.5:1433 at ${HOST}:1433`],
  });
});

t.test("a Deployment whose pods will be refused is created, and the warning gives the reason", async (t) => {
  const { code, warnings } = await said(deployment("refused", "mssql=192.168.0.5:1433"));
  t.equal(code, 0);
  t.match(warnings[0], /^Warning: target-not-allowed: each pod will be refused: /);
  t.ok(warnings.length > 1 && warnings.every((line) => line.length <= 120 + "Warning: ".length));
});

const kinds = (template: object): readonly object[] => {
  const metadata = { name: "kind", namespace: "team-a" };
  const selector = { matchLabels: { app: "flowgen" } };
  const job = { template: { ...template, spec: { ...podSpec, restartPolicy: "Never" } } };
  return [
    { apiVersion: "apps/v1", kind: "StatefulSet", metadata, spec: { selector, template, serviceName: "x" } },
    { apiVersion: "apps/v1", kind: "DaemonSet", metadata, spec: { selector, template } },
    { apiVersion: "batch/v1", kind: "Job", metadata, spec: job },
    { apiVersion: "batch/v1", kind: "CronJob", metadata, spec: { schedule: "@daily", jobTemplate: { spec: job } } },
  ];
};
const podSpec = { containers: [{ name: "app", image: "x" }] };

t.test("every kind, and keys that resemble the webhook's", async (t) => {
  const labels = { app: "flowgen", "app.kubernetes.io/name": "flowgen" };
  for (const object of kinds({ metadata: { labels, annotations: { private_targets: "x" } }, spec: podSpec }))
    t.match(await said(object), {
      code: 0,
      warnings: ["Warning: private_targets is not read: did you mean flowgen.io/private-targets?"],
    });
});

t.test("the annotation on the Deployment instead of its template", async (t) => {
  const { spec, ...rest } = deployment("misplaced", "mssql=10.0.0.5:1433");
  const { annotations: _, ...metadata } = spec.template.metadata;
  const object = { ...rest, spec: { ...spec, template: { ...spec.template, metadata } } };
  const { warnings } = await said(object);
  t.match(warnings, [/stands on the workload: put it on spec.template.metadata.annotations$/]);
});

/** How many reviews of each webhook the API server has sent (apiserver_admission_webhook_request_total). */
const reviews = async (): Promise<number> => {
  const text = await scene.kubectl(["get", "--raw", "/metrics"]);
  return [...text.matchAll(/^apiserver_admission_webhook_request_total\{.*workloads\.flowgen\.io.*\} (\d+)$/gm)]
    .map(([, count]) => Number(count))
    .reduce((sum, count) => sum + count, 0);
};

t.test("workloads without such a key, or with an owner, cost no call", async (t: Test) => {
  const before = await reviews();
  t.ok(before > 4);
  const { spec, ...rest } = flowgenDeployment("team-a", "plain", 1, {});
  t.strictSame(await said({ ...rest, spec }), { code: 0, warnings: [] });
  const owner = { apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "00000000-0000-0000-0000-000000000001" };
  const owned = deployment("owned", "mssql=192.168.0.5:1433");
  const metadata = { ...owned.metadata, ownerReferences: [owner] };
  t.strictSame(await said({ ...owned, metadata }), { code: 0, warnings: [] });
  t.equal(await reviews(), before);
});

t.test("without a webhook everything is applied", async (t) => {
  await webhook.stop();
  const { code } = await said(deployment("alone", "mssql=10.0.0.5:1433"));
  t.equal(code, 0);
  webhook = await scene.installed.start();
  await eventually("it says again", 20_000, async () =>
    (await said(deployment("again", "mssql=192.168.0.5:1433"))).warnings.length > 0 ? true : undefined,
  );
});
