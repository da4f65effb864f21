// Every way to create a pod on a real API server, and pods that were admitted before.
import t from "tap";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import type { Pod } from "../../src/core/pod.ts";
import {
  flowgenPod,
  flowgenTemplate,
  GATEWAY,
  HOST,
  labelsOf,
  startScene,
  targets,
} from "../lab/control-plane/scene.ts";
import { eventually } from "../wait.ts";

const { controlPlane, installed, kubectl, get, list, create, made, apply, podsOf } = await startScene(t);
const webhook = await installed.start();
t.teardown(webhook.stop);

const MSSQL = { asks: targets("mssql=10.0.0.5:1433"), env: { MSSQL_HOST: "10.0.0.5", MSSQL_PORT: "1433" } };
const STATUS = "flowgen.io/gateway-status";
const redirected = (pod: Pod | undefined): object => ({
  env: pod?.spec.containers[0]?.env,
  mark: pod?.metadata.labels?.["target.flowgen.io/mssql"],
  targets: (JSON.parse(pod?.metadata.annotations?.[STATUS] ?? "{}") as { targets?: object }).targets,
});
const asPromised = {
  env: [
    { name: "MSSQL_HOST", value: HOST },
    { name: "MSSQL_PORT", value: "1433" },
  ],
  mark: "true",
  targets: { mssql: { target: "10.0.0.5:1433", tunnel: "wg0", address: `${HOST}:1433`, redirect: "env" } },
};
const inTeam = (name: string): readonly string[] => [name, "--namespace=team-a"];

/** Runs `work`, and says how often it made the API server ask the webhook. */
const calls = async (work: () => Promise<unknown>): Promise<number> => {
  const count = async (): Promise<number> =>
    [...(await webhook.metrics()).matchAll(/^flowgen_gateway_admissions_total\{.*\} (\d+)$/gm)].reduce(
      (sum, [, value]) => sum + Number(value),
      0,
    );
  const before = await count();
  await work();
  return (await count()) - before;
};

t.test("StatefulSet, DaemonSet, Job and CronJob: their pods are redirected", async (t) => {
  const workload = (kind: string, name: string, spec: object): object => ({
    apiVersion: kind === "Job" || kind === "CronJob" ? "batch/v1" : "apps/v1",
    kind,
    metadata: { name, namespace: "team-a" },
    spec,
  });
  const template = (name: string, more: object = {}) => {
    const { metadata, spec } = flowgenTemplate(name, MSSQL.asks, MSSQL.env);
    return { metadata, spec: { ...spec, ...more } };
  };
  const selected = (name: string) => ({ selector: { matchLabels: labelsOf(name) }, template: template(name) });
  const job = (name: string) => ({ template: template(name, { restartPolicy: "Never" }) });
  await apply(
    // A DaemonSet makes a pod for each node, and this one is a name only.
    { apiVersion: "v1", kind: "Node", metadata: { name: "nowhere" } },
    workload("StatefulSet", "stateful", { serviceName: "stateful", replicas: 1, ...selected("stateful") }),
    workload("DaemonSet", "daemon", selected("daemon")),
    workload("Job", "job", job("job")),
    workload("CronJob", "cron", { schedule: "* * * * *", jobTemplate: { spec: job("cron") } }),
  );
  // A CronJob that was due when it had not run for two minutes runs at once.
  const lastScheduleTime = new Date(Date.now() - 120_000).toISOString().replace(/\.\d+/, "");
  const patch = `--patch=${JSON.stringify({ status: { lastScheduleTime } })}`;
  await kubectl(["patch", "cronjob", ...inTeam("cron"), "--subresource=status", "--type=merge", patch]);
  for (const instance of ["stateful", "daemon", "job"]) {
    const [pod] = await podsOf("team-a", instance, 1);
    t.strictSame(redirected(pod), asPromised, instance);
  }
  const [pod] = await eventually("a pod of the CronJob", 20_000, async () => {
    const pods = await list<Pod>("pods", "--namespace=team-a", "-l", "app.kubernetes.io/instance=cron");
    return pods.length > 0 ? pods : undefined; // it may run again when the minute is over
  });
  t.strictSame(redirected(pod), asPromised, "cron");
  await kubectl(["delete", "cronjob", ...inTeam("cron"), "--wait=false"]);
});

t.test("a bare pod, by its name and by a generated one", async (t) => {
  t.strictSame(redirected(await made(flowgenPod("team-a", "bare", MSSQL.asks, MSSQL.env))), asPromised);
  const { metadata, ...rest } = flowgenPod("team-a", "generated", MSSQL.asks, MSSQL.env);
  const { labels, annotations } = metadata;
  const nameless = { ...rest, metadata: { generateName: "generated-", labels, annotations } };
  const generated = (await made(nameless, "--namespace=team-a")) as Pod & KubeObject;
  t.match(generated.metadata.name, /^generated-\w{5}$/);
  t.strictSame(redirected(generated), asPromised);
});

t.test("for a debugger's container, and any change of a pod, the webhook gets no call", async (t) => {
  const before = await get<Pod>("pod", ...inTeam("bare"));
  const count = await calls(async () => {
    await kubectl(["debug", ...inTeam("bare"), "--image=example.test/debug:1", "--env=A=10.0.0.5", "--", "sleep", "1"]);
    await kubectl(["label", "pod", ...inTeam("bare"), "team=dba"]);
    await kubectl(["annotate", "pod", ...inTeam("bare"), "--overwrite", "flowgen.io/private-targets=other=10.0.0.8:1"]);
  });
  t.equal(count, 0);
  const after = await get<Pod>("pod", ...inTeam("bare"));
  t.match(after.spec, { ephemeralContainers: [{ env: [{ name: "A", value: "10.0.0.5" }] }] });
  t.strictSame(after.spec.containers, before.spec.containers);
  t.equal(after.metadata.annotations?.[STATUS], before.metadata.annotations?.[STATUS]);
});

t.test("a restored pod: unchanged with its former gateway, refused with another one", async (t) => {
  const original = await get<Pod>("pod", ...inTeam("stateful-0"));
  const { labels, annotations } = original.metadata;
  // As a backup holds it: without what the API server gives.
  const dump = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "restored", labels, annotations },
    spec: original.spec,
  };
  const restored = await made(dump, "--namespace=team-a");
  t.strictSame(redirected(restored), asPromised);
  t.strictSame(restored.metadata.annotations, annotations);

  const elsewhere = JSON.stringify({ ...dump, metadata: { ...dump.metadata, name: "moved" } })
    .replaceAll(`${HOST}:1433`, "old-gateway.vpn.svc:1499")
    .replaceAll(HOST, "old-gateway.vpn.svc")
    .replaceAll(`${GATEWAY.namespace}/${GATEWAY.name}`, "vpn/old-gateway")
    .replaceAll(`"flowgen.io/gateway":"${GATEWAY.name}"`, '"flowgen.io/gateway":"old-gateway"');
  const refused = await create(JSON.parse(elsewhere) as object, "--namespace=team-a");
  t.match(refused, {
    code: 1,
    stderr: /address-gone: mssql: .*old-gateway\.vpn\.svc:1499.* apply the original manifest/,
  });
});

t.test("marks forged by hand: replaced where the pod has targets, refused where it has none", async (t) => {
  const forged = {
    labels: { "target.flowgen.io/payroll": "true", "flowgen.io/gateway": "other" },
    annotations: {
      [STATUS]: JSON.stringify({ gateway: "a/b", targets: { "10.0.0.9:1": "evil:1" }, env: [], version: "9" }),
    },
  };
  const pod = (name: string, annotations: object, labels: object = {}): object => {
    const { metadata, ...rest } = flowgenPod("team-a", name, {}, MSSQL.env);
    return { ...rest, metadata: { ...metadata, annotations, labels: { ...metadata.labels, ...labels } } };
  };
  const admitted = await made(pod("forged", { ...MSSQL.asks, ...forged.annotations }, forged.labels));
  t.strictSame(redirected(admitted), asPromised);
  t.equal(admitted.metadata.labels?.["flowgen.io/gateway"], GATEWAY.name);
  t.notOk("target.flowgen.io/payroll" in (admitted.metadata.labels ?? {}), "a forward that it did not ask for");

  const unlabelled = { app: "other", "app.kubernetes.io/name": "other" };
  for (const [why, object] of Object.entries({
    "a status alone": pod("refused", forged.annotations),
    "a label alone": pod("refused", {}, forged.labels),
    "mode disabled": pod("refused", { ...MSSQL.asks, ...forged.annotations, "flowgen.io/mode": "disabled" }),
    "mode audit, which it asks for itself": pod(
      "refused",
      { ...MSSQL.asks, "flowgen.io/mode": "audit" },
      forged.labels,
    ),
    "not a flowgen pod": pod("refused", { ...MSSQL.asks, ...forged.annotations }, unlabelled),
  })) {
    t.match(
      await create(object),
      { code: 1, stderr: /denied the request: reserved: .*only the webhook may write/ },
      why,
    );
  }
  t.match(await controlPlane.kubectl(["get", "pod", ...inTeam("refused")]), { code: 1, stderr: /NotFound/ });
});
