// The main job on a real API server: ReplicaSets make pods, the API server asks the webhook, the gateway's objects appear.
import t from "tap";
import type { Pod } from "../../src/core/pod.ts";
import { eventually, example, flowgenDeployment, flowgenPod, HOST, startScene, targets } from "./scene.ts";

const { controlPlane, installed, kubectl, get, list, create, apply, podsOf } = await startScene(t);

t.test("the examples on a real API server", async (t) => {
  const webhook = await installed.start();
  t.teardown(webhook.stop);
  await kubectl(["apply", "-f", "-"], example("flowgen-deployments.yaml"));

  const pods = await podsOf("team-a", "flowgen", 3);
  for (const pod of pods) {
    t.match(pod.spec.containers[0]?.env, [
      { name: "POD_NAME" },
      { name: "MSSQL_HOST", value: HOST },
      { name: "MSSQL_PORT", value: "1433" },
      { name: "DATABASE_URL", value: `postgres://app:s3cret@${HOST}:5432/prod` },
      { name: "NATS_TOKEN" },
    ]);
    t.match(pod.metadata.labels, {
      "flowgen.io/gateway": "flowgen-wireguard-gateway",
      "target.flowgen.io/mssql": "true",
      "target.flowgen.io/postgres": "true",
    });
    t.match(JSON.parse(pod.metadata.annotations?.["flowgen.io/gateway-status"] ?? "{}"), {
      targets: { "10.0.0.5:1433": `${HOST}:1433` },
    });
  }
  const [report] = await podsOf("team-b", "flowgen-reports", 1);
  t.match(
    report?.spec.containers[0]?.env?.filter(({ name }) => name.startsWith("WAREHOUSE")),
    [{ value: HOST }, { value: "1434" }],
  );
  const [careful] = await podsOf("team-a", "flowgen-careful", 1);
  t.match(
    careful?.spec.containers[0]?.env,
    [{ name: "FTP_HOST", value: "files.corp.example.com" }],
    "audit mode changes nothing",
  );

  const refused = await eventually(async () => {
    const events = await list<{ reason: string; message: string }>("events", "--namespace=team-b");
    return events.find(({ reason }) => reason === "FailedCreate")?.message;
  });
  t.match(
    refused,
    /pods\.flowgen\.io.* denied the request: target-forbidden: flowgen\.io\/private-targets\[0\]: 169\.254\.169\.254 is link-local/,
  );

  const service = await get<{ spec: { ports: { name: string; port: number; targetPort: number }[] } }>(
    "service",
    "flowgen-wireguard-gateway",
    "--namespace=flowgen-gateway",
  );
  t.strictSame(service.spec.ports.map(({ name, port, targetPort }) => [name, port, targetPort]).sort(), [
    ["mssql", 1433, 1433],
    ["postgres", 5432, 5432],
    ["warehouse", 1434, 1434],
  ]);
  t.match(await get("deployment", "flowgen-wireguard-gateway", "--namespace=flowgen-gateway"), {
    metadata: { generation: 1 },
    spec: { replicas: 1, strategy: { type: "Recreate" } },
  });
  t.match(await get("networkpolicy", "flowgen-wireguard-gateway", "--namespace=flowgen-gateway"), {
    spec: { ingress: [{}, {}, {}] },
  });
  const metrics = await webhook.metrics();
  t.match(metrics, /flowgen_gateway_admissions_total\{outcome="inject",reason="injected"\} 4/);
  t.match(metrics, /flowgen_gateway_forwards\{gateway="flowgen-gateway\/flowgen-wireguard-gateway"\} 3/);
  t.notMatch(JSON.stringify(webhook.log), /s3cret/);
});

t.test("a server-side dry run of a pod gives the same patch and writes nothing", async (t) => {
  const webhook = await installed.start();
  t.teardown(webhook.stop);
  const objects = async (): Promise<readonly string[]> => {
    const items = await list("configmaps,services,deployments,networkpolicies,events", "--namespace=flowgen-gateway");
    return items.map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.resourceVersion}`);
  };
  const pod = flowgenPod("team-a", "new", targets("other=10.0.0.8:1433"), { OTHER: "10.0.0.8:1433" });
  const before = await objects();
  const dry = JSON.parse((await create(pod, "--dry-run=server", "-o", "json")).stdout) as Pod;
  t.match(dry.spec.containers[0]?.env, [{ name: "OTHER", value: `${HOST}:1435` }]);
  t.strictSame(await objects(), before);
});

t.test(
  "no webhook: pods without the annotation start, annotated ones wait and come by themselves once it is back",
  async (t) => {
    await apply(flowgenDeployment("team-a", "plain", 1, {}));
    await podsOf("team-a", "plain", 1);
    await apply(flowgenDeployment("team-a", "waiting", 1, targets("mssql=10.0.0.5:1433")));
    const message = await eventually(async () => {
      const events = await list<{ message: string; involvedObject: { name: string } }>("events", "--namespace=team-a");
      return events.find(
        ({ involvedObject, message }) =>
          involvedObject.name.startsWith("waiting") && message.includes("failed calling webhook"),
      )?.message;
    });
    t.match(message, /failed calling webhook "pods\.flowgen\.io"/);
    const webhook = await installed.start();
    t.teardown(webhook.stop);
    const [pod] = await podsOf("team-a", "waiting", 1);
    t.match(pod?.metadata.labels, { "target.flowgen.io/mssql": "true" });
  },
);

t.test("marks stay as the webhook wrote them", async (t) => {
  const webhook = await installed.start();
  t.teardown(webhook.stop);
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "plain", namespace: "team-a" },
    spec: { containers: [{ name: "c", image: "x" }] },
  };
  t.match(await create(pod), { code: 0 });
  const label = (text: string) =>
    controlPlane.kubectl(["label", "pod", "plain", "--namespace=team-a", "--overwrite", text]);
  // A policy comes into force within seconds of its making.
  const denied = await eventually(async () => {
    const { code, stderr } = await label("target.flowgen.io/mssql=true");
    if (code === 0) await kubectl(["label", "pod", "plain", "--namespace=team-a", "target.flowgen.io/mssql-"]);
    return code === 0 ? undefined : stderr;
  });
  t.match(denied, /the labels target\.flowgen\.io\/\* and flowgen\.io\/gateway are written by flowgen-gateway-webhook/);
  t.match(
    await controlPlane.kubectl(["annotate", "pod", "plain", "--namespace=team-a", "flowgen.io/gateway-status={}"]),
    { code: 1, stderr: /stays as it is/ },
  );
  t.match(await label("team=dba"), { code: 0 }, "other labels are free");
  const forged = {
    ...pod,
    metadata: { ...pod.metadata, name: "forged", labels: { "target.flowgen.io/mssql": "true" } },
  };
  t.match(await create(forged), { code: 1, stderr: /reserved/ }, "and at creation the webhook refuses");
});
