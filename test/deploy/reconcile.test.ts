// The chart's CronJob on a real control plane. The controllers make a Job of it. Its container runs by its pod's spec
// and with its ServiceAccount's token, so it has these rights alone.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { connect } from "../../src/cluster/kubernetes.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import { connectTo, type ApiObject } from "../lab/control-plane/api.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import { CHART, findHelm, RELEASE } from "../lab/control-plane/helm.ts";
import { flowgenPod, GATEWAY, ONE_TUNNEL } from "../lab/control-plane/scene.ts";
import { kubeconfigOf, kubectl as run } from "../lab/control-plane/webhook.ts";
import { startContainer } from "../lab/kubelet/container.ts";
import { type PlayedPod, prepare } from "../lab/kubelet/pod.ts";
import { configOf, gatewayOf, wantOf } from "../making.ts";
import { eventually } from "../wait.ts";
import { parse } from "yaml";

const controlPlane = await startControlPlane();
t.teardown(controlPlane.stop);
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const api = connectTo(controlPlane);
t.teardown(api.close);
const folder = await mkdtemp(join(tmpdir(), "flowgen-cronjob-"));
t.teardown(() => rm(folder, { recursive: true, force: true }));

for (const namespace of [RELEASE, "team-a"]) await kubectl(["create", "namespace", namespace]);
const helm = await findHelm(controlPlane.folder);
const values = { replicaCount: 0, reconcile: { enabled: true }, config: parse(ONE_TUNNEL) as object };
const installed = await helm(["install", RELEASE, CHART, `--namespace=${RELEASE}`, "--values=-"], {
  input: JSON.stringify(values),
  env: { KUBECONFIG: controlPlane.kubeconfig },
});
if (installed.code !== 0) throw new Error(installed.stderr);

// The gateway as the webhook makes it, by its token. No webhook answers admissions, so a pod runs unredirected.
const token = (await kubectl(["create", "token", RELEASE, `--namespace=${RELEASE}`])).trim();
const kubeconfigPath = join(folder, "webhook.kubeconfig");
await writeFile(kubeconfigPath, kubeconfigOf(controlPlane.url, controlPlane.ca, { token }), { mode: 0o600 });
const config = configOf(ONE_TUNNEL);
const provision = createProvisioner(await connect("kubeconfig", { kubeconfigPath }), { scripts: loadScripts() });
const wants = [wantOf("a", "10.0.0.5", 1433), wantOf("b", "10.0.0.6", 1433), wantOf("c", "10.0.0.7", 80)];
const signal = (): AbortSignal => AbortSignal.timeout(20_000);
await provision({ config, gateway: gatewayOf(config), wants, write: true, signal });
await kubectl(["delete", "mutatingwebhookconfiguration", RELEASE]);
await kubectl(["delete", "validatingadmissionpolicybinding", `${RELEASE}-marks`]);
const labelled = (name: string, labels: object, annotations = {}) => {
  const pod = flowgenPod("team-a", name, annotations);
  return { ...pod, metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...labels } } };
};
for (const pod of [
  labelled("user", { "flowgen.io/gateway": GATEWAY.name, "target.flowgen.io/a": "true" }),
  labelled("direct", {}, { "flowgen.io/private-targets": "a=10.0.0.5:1433" }),
])
  // The API server stops calling the webhook some seconds later.
  await eventually("the pod", 20_000, async () => {
    const { code } = await controlPlane.kubectl(["create", "-f", "-"], { input: JSON.stringify(pod) });
    return code === 0 || undefined;
  });

/** A Job of the CronJob, run to its end. */
const job = async (name: string): Promise<{ readonly code: number | null; readonly lines: readonly string[] }> => {
  await kubectl(["create", "job", name, `--from=cronjob/${RELEASE}-reconcile`, `--namespace=${RELEASE}`]);
  const pod = await eventually("its pod", 20_000, async () => {
    const [found] = await api.list<ApiObject & PlayedPod>(
      `/api/v1/namespaces/${RELEASE}/pods?labelSelector=batch.kubernetes.io/job-name=${name}`,
    );
    return found;
  });
  const spec = await prepare(api, pod, join(folder, name, "volumes"));
  const { hostname, port } = new URL(controlPlane.url);
  const env = { ...spec.env, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  const { process, log } = await startContainer(join(folder, name, "root"), { ...spec, env });
  const [code] = (await once(process, "close")) as [number | null];
  return { code, lines: log.map((line) => (typeof line["text"] === "string" ? line["text"] : JSON.stringify(line))) };
};
const table = async (): Promise<string> =>
  kubectl([
    "get",
    "configmap",
    `${GATEWAY.name}-forwards`,
    `--namespace=${GATEWAY.namespace}`,
    "-o",
    "jsonpath={.data.table\\.json}",
  ]);

t.test("it marks unused forwards, and reports faults, by its own rights", async (t) => {
  const { code, lines } = await job("first");
  t.equal(code, 0, lines.join("\n"));
  const said = lines.join("\n");
  t.match(said, /flowgen-gateway\/flowgen-wireguard-gateway: no pod uses b \(10\.0\.0\.6:1433 through wg0\): marked/);
  t.notMatch(said, /no pod uses a /);
  t.match(said, /unredirected: Pod team-a\/direct: /);
  t.match(said, /1 gateways, 3 forwards, 2 marked, 0 removed, 1 findings/);
  t.match(await table(), /"unusedSince"/);
  t.match(await kubectl(["get", "events", "--namespace=team-a"]), /NotRedirected/);
});

t.test("a mark that is old enough: the forward and the Service of its host go", async (t) => {
  const asBreaker = await breakGlass(kubectl, GATEWAY.namespace);
  const old = (await table()).replaceAll(/"unusedSince":"[^"]+"/g, '"unusedSince":"2026-01-01T00:00:00.000Z"');
  await kubectl([
    ...[
      "patch",
      "configmap",
      `${GATEWAY.name}-forwards`,
      `--namespace=${GATEWAY.namespace}`,
      asBreaker,
      "--type=merge",
    ],
    `--patch=${JSON.stringify({ data: { "table.json": old } })}`,
  ]);
  const services = async (): Promise<readonly ApiObject[]> =>
    api.list(`/api/v1/namespaces/${GATEWAY.namespace}/services`);
  t.equal((await services()).length, 2);
  const { code, lines } = await job("second");
  t.equal(code, 0, lines.join("\n"));
  t.match(lines.join("\n"), /removed b \(.*unused since 2026-01-01T00:00:00\.000Z/);
  t.match(lines.join("\n"), /deleted the Service flowgen-wireguard-gateway-10-0-0-6-/);
  t.equal((await services()).length, 1);
});

t.test("it may do nothing else: no Secret, no other namespace, no pod's content", async (t) => {
  const as = `--as=system:serviceaccount:${RELEASE}:${RELEASE}-reconcile`;
  const may = async (...args: readonly string[]): Promise<boolean> =>
    (await controlPlane.kubectl(["auth", "can-i", ...args, as])).code === 0;
  t.ok(await may("list", "pods", "-A"));
  t.ok(await may("delete", "services", `--namespace=${GATEWAY.namespace}`));
  for (const args of [
    ["get", "secrets", `--namespace=${GATEWAY.namespace}`],
    ["get", "pods", "-A"],
    ["delete", "pods", "-A"],
    ["patch", "services", "--namespace=team-a"],
    ["create", "deployments", "--namespace=team-a"],
    ["get", "configmaps", "-A"],
    ["get", "secrets", `--namespace=${RELEASE}`],
  ])
    t.notOk(await may(...args), args.join(" "));
});
