// `inject | kubectl apply` beside a gateway that runs: it writes workloads only, from any forward table.
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { flowgenDeployment, flowgenPod, GATEWAY, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";
import { MAIN, plainEnv, unhooked } from "../program.ts";

const { controlPlane, installed, kubectl, get, list, made, podsOf } = await startScene(t, { config: ONE_TUNNEL });
const webhook = await installed.start();
t.teardown(webhook.stop);

const folder = t.testdir();
const inFolder = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const config = inFolder("config.yaml", ONE_TUNNEL);
/** The manifests that `inject` prints for the deployment. */
const injected = async (deployment: object, ...more: readonly string[]): Promise<string> => {
  const file = inFolder("workload.json", JSON.stringify(deployment, undefined, 2));
  const args = [MAIN, "inject", "--config", config, "-f", file, ...more];
  const env = { ...plainEnv(), KUBECONFIG: controlPlane.kubeconfig };
  const { stdout } = await promisify(execFile)(...unhooked(process.execPath, ...args), { env });
  return stdout;
};
/** The controller manager writes the Deployment's status, which changes its resourceVersion and not its generation. */
const versionOf = ({ kind, metadata }: KubeObject): unknown =>
  kind === "Deployment" ? metadata["generation"] : metadata.resourceVersion;
const gatewayObjects = async (): Promise<Readonly<Record<string, unknown>>> => {
  const objects = await list("services,deployments,networkpolicies,configmaps", `--namespace=${GATEWAY.namespace}`);
  return Object.fromEntries(
    objects.map((object) => [`${object.kind} ${object.metadata.name ?? ""}`, versionOf(object)]),
  );
};
const forwards = async (): Promise<string> => {
  const table = await get<KubeObject>("configmap", `${GATEWAY.name}-forwards`, `--namespace=${GATEWAY.namespace}`);
  return (table["data"] as Readonly<Record<string, string>>)["forwards"] ?? "";
};
type Workload = { readonly spec: { readonly template: { readonly spec: { readonly containers: readonly object[] } } } };

t.test("inject | kubectl apply: no object of the gateway is written, and the pods get what was printed", async (t) => {
  await made(flowgenPod("team-a", "first", targets("db=10.0.0.5:1433"), { DB_HOST: "10.0.0.5", DB_PORT: "1433" }));
  const before = await gatewayObjects();
  const lines = await forwards();
  t.match(lines, /^1433 10\.0\.0\.5 1433 wg0$/m);
  const asks = targets("db=10.0.0.99:1433");
  const env = { DB_URL: "postgres://app@10.0.0.99:1433/x" };
  // Without replicas: nothing but kubectl may write in between.
  for (const [name, more] of [
    ["live", ["--cluster", "kubeconfig"]],
    ["offline", []],
  ] as const) {
    const printed = await injected(flowgenDeployment("team-b", name, 0, asks, env), ...more);
    await kubectl(["apply", "-f", "-"], printed);
    t.strictSame(await gatewayObjects(), before, `${name}: no object has another version`);
    t.equal(await forwards(), lines, `${name}: the table has the forwards of before`);
  }
  const { spec } = await get<Workload>("deployment", "live", "--namespace=team-b");
  await kubectl(["scale", "deployment", "live", "--replicas=1", "--namespace=team-b"]);
  const [pod] = await podsOf("team-b", "live", 1);
  const [container] = spec.template.spec.containers;
  t.strictSame(pod?.spec.containers[0]?.env, (container as { readonly env?: object }).env);
  t.match(await forwards(), /^1433 10\.0\.0\.5 1433 wg0$/m, "the forward of running pods is the same");
  t.match(await forwards(), / 10\.0\.0\.99 1433 wg0$/m, "and the new pod's target has one of its own");
});
