// A gateway of the flowgen chart, made by Helm, is taken over on a real control plane. Its Service keeps its address,
// and an upgrade of that release deletes nothing. Objects that a backup tool restores are the webhook's again.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { stringify } from "yaml";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { isHeldByOthers } from "../../src/cluster/managed-fields.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { runCommand } from "../lab/control-plane/command.ts";
import { findHelm } from "../lab/control-plane/helm.ts";
import { flowgenPod, GATEWAY, HOST, startScene, targets } from "../lab/control-plane/scene.ts";
import { chartGateway } from "../lab/flowgen/chart-gateway.ts";
import { eventually } from "../wait.ts";

const forwards = [
  { name: "mssql", port: 1433, targetHost: "10.0.0.5", targetPort: 1433 },
  { name: "postgres", port: 5432, targetHost: "10.0.0.6", targetPort: 5432, servicePort: 15432 },
];
const config = stringify({
  gateways: [
    {
      ...GATEWAY,
      tunnels: [
        { name: "wg0", secretName: "wireguard-client-a", allowedTargets: ["10.0.0.0/8"], portForwards: forwards },
      ],
    },
  ],
});
const scene = await startScene(t, { config });
const { controlPlane, installed, kubectl, get, list, create } = scene;
const webhook = await installed.start();
t.teardown(webhook.stop);

const within = `--namespace=${GATEWAY.namespace}`;
const chart = join(controlPlane.folder, "chart");
await mkdir(join(chart, "templates"), { recursive: true });
await writeFile(join(chart, "Chart.yaml"), "{apiVersion: v2, name: flowgen, version: 0.19.0}\n");
const release = { ...GATEWAY, release: "flowgen", secretName: "wireguard-client-a", forwards };
const made = chartGateway(release).map((object) => stringify(object));
await writeFile(
  join(chart, "templates", "gateway.yaml"),
  `{{- if .Values.wireguardGateway.enabled }}\n${made.join("---\n")}{{- end }}\n`,
);
const program = await findHelm(controlPlane.folder);
const helm = (verb: string, enabled: boolean, ...more: readonly string[]) =>
  program([verb, "flowgen", chart, within, `--set=wireguardGateway.enabled=${String(enabled)}`, ...more], {
    env: { KUBECONFIG: controlPlane.kubeconfig },
  });
await kubectl(["create", "secret", "generic", "wireguard-client-a", within]);
const installedChart = await helm("install", true);
if (installedChart.code !== 0) throw new Error(installedChart.stderr);

await breakGlass(kubectl, GATEWAY.namespace);
const breaker = await controlPlane.signIn("break-glass", { name: "break-glass" });
const file = join(controlPlane.folder, "adopt.yaml");
await writeFile(file, config);
const id = `${GATEWAY.namespace}/${GATEWAY.name}`;
const adopt = (kubeconfig: string, ...more: readonly string[]) =>
  runCommand(["adopt", id, `--config=${file}`, "--wait-seconds=0", ...more], kubeconfig);

const KINDS = "services,deployments,networkpolicies,configmaps";
const objects = async (): Promise<readonly KubeObject[]> =>
  (await list(KINDS, within, "--show-managed-fields")).filter(
    ({ metadata }) => metadata.name?.startsWith(GATEWAY.name) === true,
  );
const versions = async (): Promise<readonly string[]> =>
  (await objects()).map(({ kind, metadata }) => `${kind} ${metadata.name ?? ""} ${metadata.resourceVersion ?? ""}`);
type WithSpec = KubeObject & { readonly spec: Readonly<Record<string, unknown>> };
const read = (kind: string): Promise<WithSpec> => get<WithSpec>(kind, GATEWAY.name, within);
const podsOf = async (instance: string): Promise<readonly KubeObject[]> =>
  list("pods", within, "-l", `app.kubernetes.io/instance=${instance}`);
let asked = 0;
const ask = () =>
  create(flowgenPod("team-a", `asks-${++asked}`, targets("db=10.0.0.5:1433"), { DB: "10.0.0.5:1433" }), "-o", "json");

await eventually("the chart's pod", 20_000, async () => ((await podsOf("flowgen")).length === 1 ? true : undefined));

t.test(
  "a pod is refused, and the message names the command; a dry run and an admin without break-glass write nothing",
  async (t) => {
    t.match(await ask(), {
      code: 1,
      stderr: /object-unmanaged: .*take over a gateway of the flowgen chart with `flowgen-gateway adopt`/,
    });
    const before = await versions();
    const dry = await adopt(breaker, "--dry-run");
    t.match(dry, {
      code: 0,
      out: /^would write the forward table.*\nwould take over Service .*\nwould end the pods of Deployment/,
    });
    t.match(dry.out, /release flowgen in flowgen-gateway.*\nwireguardGateway:\n {2}enabled: false\n$/);
    t.match(await adopt(controlPlane.kubeconfig), {
      code: 1,
      err: /is not created: .*break-glass.*\nit needs the verb break-glass/s,
    });
    t.strictSame(await versions(), before);
  },
);

t.test("taken over: the Service is the same one, the Deployment another, and pods are admitted", async (t) => {
  const [service, deployment] = [await read("service"), await read("deployment")];
  const { code, out, err } = await adopt(breaker);
  t.equal(code, 0, err);
  t.match(out, /^done: write the forward table/);
  const after = await read("service");
  t.equal(after.metadata.uid, service.metadata.uid);
  t.match(after.spec, {
    clusterIP: service.spec["clusterIP"],
    selector: { "app.kubernetes.io/instance": GATEWAY.name },
  });
  t.strictSame(
    (after.spec["ports"] as { name: string; port: number; targetPort: number }[]).map((port) => [
      port.name,
      port.port,
      port.targetPort,
    ]),
    [
      ["mssql", 1433, 1433],
      ["postgres", 15432, 5432],
    ],
  );
  t.not((await read("deployment")).metadata.uid, deployment.metadata.uid);
  t.strictSame(await podsOf("flowgen"), [], "the former pod ended");
  await eventually("the gateway's pod", 20_000, async () =>
    (await podsOf(GATEWAY.name)).length === 1 ? true : undefined,
  );
  for (const object of await objects())
    t.notOk(isHeldByOthers(object), `${object.kind}: its content is the webhook's alone`);
  const { stdout, stderr } = await ask();
  t.match(stdout, new RegExp(`"value": "${HOST}:1433"`), stderr);
  const now = await versions();
  t.match(await adopt(breaker, "--dry-run"), { code: 0, err: "nothing is to be taken over\n" });
  t.strictSame(await versions(), now);
});

t.test("an upgrade of that release changes nothing, and with the changed value deletes nothing", async (t) => {
  const uids = async (): Promise<unknown> =>
    (await objects()).map(({ kind, metadata }) => [kind, metadata.name, metadata.uid]);
  const before = await uids();
  t.match(await helm("upgrade", true, "--set=other=1"), { code: 1, stderr: /break-glass|field is immutable/ });
  t.strictSame(await uids(), before);
  const { code, stderr } = await helm("upgrade", false);
  t.equal(code, 0, stderr);
  t.strictSame(await uids(), before);
  t.match(await read("service"), { spec: { selector: { "app.kubernetes.io/instance": GATEWAY.name } } });
  t.match(await program(["uninstall", "flowgen", within], { env: { KUBECONFIG: controlPlane.kubeconfig } }), {
    code: 0,
  });
  t.strictSame(await uids(), before);
});

t.test("restored without managedFields: the webhook's again, and no pod is replaced", async (t) => {
  const copies = (await objects()).map(({ apiVersion, kind, metadata, status: _status, ...rest }) => {
    const { name, namespace, labels, annotations } = metadata;
    return { apiVersion, kind, metadata: { name, namespace, labels, annotations }, ...rest };
  });
  const asBreaker = `--as=break-glass`;
  await kubectl([
    "delete",
    within,
    asBreaker,
    ...(await objects()).map(({ kind, metadata }) => `${kind}/${String(metadata.name)}`),
  ]);
  await kubectl(
    ["create", "-f", "-", asBreaker, "--field-manager=velero-server"],
    JSON.stringify({ apiVersion: "v1", kind: "List", items: copies }),
  );
  const restored = await read("deployment");
  const [pod] = await eventually("the restored pod", 20_000, async () => {
    const pods = await podsOf(GATEWAY.name);
    return pods.length === 1 && pods[0]?.metadata["deletionTimestamp"] === undefined ? pods : undefined;
  });
  t.match(await adopt(breaker, "--dry-run"), { out: /would take over Service .*, whose content others own\n/ });
  const { code, err } = await adopt(breaker);
  t.equal(code, 0, err);
  for (const object of await objects()) t.notOk(isHeldByOthers(object), object.kind);
  t.strictSame((await read("deployment")).spec, restored.spec);
  t.match(await podsOf(GATEWAY.name), [{ metadata: { uid: pod?.metadata.uid } }]);
  t.match(await ask(), { code: 0 });
});
