// The main job on a real API server: ReplicaSets make pods, the API server asks the webhook, the gateway's objects
// appear and follow. They are objects only: there is no node that runs them and no network that enforces the
// NetworkPolicy (test/tunnel runs the gateway's scripts).
import { readFile } from "node:fs/promises";
import t from "tap";
import { parseAllDocuments } from "yaml";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { withoutEmpty } from "../../src/emulator/fields.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import { findGateway } from "../../src/core/config/choose.ts";
import { deploymentManifest } from "../../src/core/gateway/deployment.ts";
import { scriptsManifest } from "../../src/core/gateway/manifests.ts";
import type { Pod } from "../../src/core/pod.ts";
import { configOf } from "../making.ts";
import { example, flowgenPod, GATEWAY, HOST, startScene } from "../lab/control-plane/scene.ts";
import { eventually } from "../wait.ts";

const { controlPlane, installed, kubectl, get, list, create, made, apply, podsOf } = await startScene(t);
const webhook = await installed.start();
t.teardown(webhook.stop);

const fixture = new URL("../fixtures/reviews/review-deployment-create.json", import.meta.url);
const { request } = JSON.parse(await readFile(fixture, "utf8")) as {
  request: { object: { metadata: { labels: object }; spec: { template: Pod } } };
};
const [, reports, curious, careful] = parseAllDocuments(example("flowgen-deployments.yaml")).map(
  (document) => document.toJS() as object,
);

const inGateway = (kind: string, name: string = GATEWAY.name): Promise<KubeObject> =>
  get<KubeObject>(kind, name, `--namespace=${GATEWAY.namespace}`);
const gatewayPods = (): Promise<readonly KubeObject[]> =>
  list("pods", `--namespace=${GATEWAY.namespace}`, "-l", `flowgen.io/gateway=${GATEWAY.name}`);
const portsOf = (service: KubeObject): unknown =>
  (service["spec"] as { ports: { name: string; port: number; targetPort: number }[] }).ports
    .map(({ name, port, targetPort }) => [name, port, targetPort])
    .sort();
const rule = (forward: string, port: number): object => ({
  from: [
    {
      namespaceSelector: {
        matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: ["team-a", "team-b"] }],
      },
      podSelector: {
        matchLabels: { "flowgen.io/gateway": GATEWAY.name, [`target.flowgen.io/${forward}`]: "true" },
      },
    },
  ],
  ports: [{ protocol: "TCP", port }],
});

t.test("a Deployment of three, as the flowgen chart makes it: every pod is redirected and marked", async (t) => {
  const { metadata, spec } = request.object;
  await kubectl(["create", "serviceaccount", "flowgen", "--namespace=team-a"]);
  await apply({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "flowgen", namespace: "team-a", labels: metadata.labels },
    spec: { ...spec, replicas: 3 },
  });
  const pods = await podsOf("team-a", "flowgen", 3);
  const { env: asked, ...container } = spec.template.spec.containers[0] ?? { env: [] };
  for (const pod of pods) {
    const { env, ...rest } = pod.spec.containers[0] ?? {};
    t.strictSame(env, [
      asked?.[0],
      { name: "MSSQL_HOST", value: HOST },
      { name: "MSSQL_PORT", value: "1433" },
      { name: "DATABASE_URL", value: `postgres://app:s3cret@${HOST}:5432/prod` },
      asked?.[4],
    ]);
    t.match(rest, container, "all else of the container is as it was, its security context too");
    t.match(pod.spec, { securityContext: { runAsUser: 65534, runAsNonRoot: true, fsGroup: 65534 } });
    t.match(pod.metadata.labels, {
      ...spec.template.metadata.labels,
      "flowgen.io/gateway": GATEWAY.name,
      "target.flowgen.io/mssql": "true",
      "target.flowgen.io/postgres": "true",
    });
    t.match(JSON.parse(pod.metadata.annotations?.["flowgen.io/gateway-status"] ?? ""), {
      gateway: `${GATEWAY.namespace}/${GATEWAY.name}`,
      format: 2,
      targets: {
        mssql: { target: "10.0.0.5:1433", address: `${HOST}:1433` },
        postgres: { target: "10.0.0.6:5432", address: `${HOST}:5432` },
      },
      env: ["flowgen/DATABASE_URL", "flowgen/MSSQL_HOST"],
    });
  }
  t.notMatch(JSON.stringify(webhook.log), /s3cret/);
});

/** The Service of the second host on port 1433. */
const WAREHOUSE = "flowgen-wireguard-gateway-10-0-0-7-a5b5a561";

t.test("the gateway's objects are as documented", async (t) => {
  const found = findGateway(configOf(example("webhook-config.yaml")), "team-a", undefined);
  if (found.kind === "reject") throw new Error(found.message);
  const scripts = loadScripts();
  const deployment = await inGateway("deployment");
  const applied = withoutEmpty(deploymentManifest(found.gateway, scripts)) as object;
  t.match(deployment, applied, "the API server keeps every field that is applied");
  t.match(deployment, { metadata: { generation: 1 }, spec: { replicas: 1, strategy: { type: "Recreate" } } });
  t.match(await inGateway("configmap", `${GATEWAY.name}-scripts`), scriptsManifest(found.gateway, scripts));
  const table = await inGateway("configmap", `${GATEWAY.name}-forwards`);
  t.match(table, { data: { forwards: "1433 10.0.0.5 1433 wg0\n5432 10.0.0.6 5432 wg0\n" } });
  t.match(JSON.parse((table["data"] as Record<string, string>)["table.json"] ?? ""), {
    version: 2,
    forwards: [
      { name: "mssql", tunnel: "wg0", targetHost: "10.0.0.5", targetPort: 1433, listenPort: 1433, servicePort: 1433 },
      { name: "postgres", targetHost: "10.0.0.6" },
    ],
  });
  const service = await inGateway("service");
  t.match(service, { spec: { type: "ClusterIP", selector: { "app.kubernetes.io/component": "wireguard-gateway" } } });
  t.strictSame(portsOf(service), [
    ["mssql", 1433, 1433],
    ["postgres", 5432, 5432],
  ]);
  const policy = await inGateway("networkpolicy");
  const { ingress } = policy["spec"] as { ingress: unknown[] };
  t.strictSame(ingress.slice(0, -1), [rule("mssql", 1433), rule("postgres", 5432)]);
  t.match(ingress.at(-1), { ports: [{ port: 65534 }] }, "and one for the metrics");
  for (const object of [deployment, table, service, policy]) {
    t.match(object.metadata.labels, {
      "app.kubernetes.io/managed-by": "flowgen-gateway-webhook",
      "flowgen.io/gateway": GATEWAY.name,
    });
  }
});

t.test("a second Deployment's target joins the gateway, whose pod goes on", async (t) => {
  const template = ({ spec }: KubeObject): unknown => (spec as { template: unknown }).template;
  const before = await inGateway("deployment");
  const [podBefore] = await eventually("the gateway's one pod", 20_000, async () =>
    (await gatewayPods()).length === 1 ? gatewayPods() : undefined,
  );
  await apply(reports as object);
  const [report] = await podsOf("team-b", "flowgen-reports", 1);
  t.match(report?.spec.containers[0]?.env, [
    { name: "WAREHOUSE_SERVER", value: `${WAREHOUSE}.${GATEWAY.namespace}.svc` },
    { name: "WAREHOUSE_PORT", value: "1433" },
    { name: "MSSQL_URL", value: `Server=tcp:${HOST},1433;Database=prod;User Id=app;Password=s3cret` },
  ]);
  t.strictSame(portsOf(await inGateway("service")), [
    ["mssql", 1433, 1433],
    ["postgres", 5432, 5432],
  ]);
  const own = await inGateway("service", WAREHOUSE);
  t.strictSame(portsOf(own), [["warehouse", 1433, 1434]], "a second server on the port: a Service of its own");
  const policy = await inGateway("networkpolicy");
  t.strictSame((policy["spec"] as { ingress: unknown[] }).ingress[2], rule("warehouse", 1434));
  const after = await inGateway("deployment");
  t.equal(after.metadata.generation, before.metadata.generation);
  t.strictSame(template(after), template(before));
  const [pod, ...more] = await gatewayPods();
  t.strictSame([pod?.metadata.uid, more.length], [podBefore?.metadata.uid, 0]);
  // The table's second write, with the new Service's address, changes nothing that the scripts read.
  t.not(
    pod?.metadata.annotations?.["flowgen.io/table"],
    podBefore?.metadata.annotations?.["flowgen.io/table"],
    "the pod gets an annotation, so that the kubelet reads the new table at once",
  );
});

t.test("a forbidden target is refused to the ReplicaSet; a pod in mode audit stays unchanged", async (t) => {
  await apply(curious as object, careful as object);
  const refused = await eventually("an Event of the ReplicaSet", 20_000, async () => {
    const events = await list<{ reason: string; message: string }>("events", "--namespace=team-b");
    return events.find(({ reason }) => reason === "FailedCreate")?.message;
  });
  t.match(
    refused,
    /pods\.flowgen\.io.* denied the request: target-forbidden: flowgen\.io\/private-targets\[0\]: 169\.254\.169\.254 is link-local/,
  );
  const [pod] = await podsOf("team-a", "flowgen-careful", 1);
  t.strictSame(pod?.spec.containers[0]?.env, [{ name: "FTP_HOST", value: "files.corp.example.com" }]);
  const metrics = await webhook.metrics();
  t.match(metrics, /flowgen_gateway_admissions_total\{outcome="inject",reason="injected"\} 4/);
  t.match(metrics, /flowgen_gateway_admissions_total\{outcome="audit",reason="would-inject"\} 1/);
  t.match(metrics, /flowgen_gateway_forwards\{gateway="flowgen-gateway\/flowgen-wireguard-gateway"\} 3/);
});

t.test("marks stay as the webhook wrote them, with every way to change a pod", async (t) => {
  const pod = { ...flowgenPod("team-a", "marks", {}), spec: { containers: [{ name: "c", image: "x" }] } };
  await made(pod);
  const change = (...args: readonly string[]) => controlPlane.kubectl([...args, "--namespace=team-a"]);
  const label = (text: string) => change("label", "pod", "marks", "--overwrite", text);
  // A policy comes into force within seconds of its making.
  const denied = await eventually("the policy is in force", 20_000, async () => {
    const { code, stderr } = await label("target.flowgen.io/mssql=true");
    if (code === 0) await label("target.flowgen.io/mssql-");
    return code === 0 ? undefined : stderr;
  });
  const labels = /the labels target\.flowgen\.io\/\* and flowgen\.io\/gateway are written by flowgen-gateway-webhook/;
  t.match(denied, labels);
  t.match(await change("annotate", "pod", "marks", "flowgen.io/gateway-status={}"), {
    code: 1,
    stderr: /stays as it is/,
  });
  t.match(await label("team=dba"), { code: 0 }, "other labels are free");

  const marked = { labels: { "target.flowgen.io/mssql": "true" } };
  const patch = JSON.stringify({ metadata: marked });
  const status = await change("patch", "pod", "marks", "--subresource=status", "--type=merge", `--patch=${patch}`);
  t.match(status, { code: 1, stderr: labels }, "with the status");
  const target = { apiVersion: "v1", kind: "Node", name: "none" };
  const binding = { apiVersion: "v1", kind: "Binding", metadata: { name: "marks", ...marked }, target };
  const bind = (body: object) =>
    controlPlane.kubectl(["create", "--raw", "/api/v1/namespaces/team-a/pods/marks/binding", "-f", "-"], {
      input: JSON.stringify(body),
    });
  t.match(
    await bind(binding),
    { code: 1, stderr: /a binding carries none of the marks/ },
    "with the binding to a node",
  );
  t.match(await bind({ ...binding, metadata: { name: "marks" } }), { code: 0 }, "a scheduler's own binding passes");
  const forged = { ...pod, metadata: { ...pod.metadata, name: "forged", ...marked } };
  t.match(await create(forged), { code: 1, stderr: /reserved/ }, "and at creation the webhook refuses");
});
