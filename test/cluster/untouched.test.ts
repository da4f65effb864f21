// Nothing is written in a dry run or in audit mode. A pod without the annotation costs no call. No pod is lost while
// the webhook is down. Seen on the whole cluster's state, in the API server's own metrics and in its audit log.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Pod } from "../../src/core/pod.ts";
import { example, flowgenDeployment, flowgenPod, HOST, startScene, targets } from "../lab/control-plane/scene.ts";
import { eventually } from "../wait.ts";

const policy = { apiVersion: "audit.k8s.io/v1", kind: "Policy", rules: [{ level: "Metadata" }] };
const folder = t.testdir({ "policy.json": JSON.stringify(policy) });
const auditLog = join(folder, "audit.log");
const flags = [`--audit-log-path=${auditLog}`, `--audit-policy-file=${join(folder, "policy.json")}`];
const { installed, kubectl, list, create, made, apply, podsOf } = await startScene(t, {
  flags: { "kube-apiserver": flags },
});

// All that is stored, but for the API server's own heartbeat.
const kinds = (await kubectl(["api-resources", "--verbs=list", "-o", "name"]))
  .trim()
  .split("\n")
  .filter((kind) => !/^(componentstatuses|leases\..*|events\.events\..*)$/.test(kind))
  .join(",");
const snapshot = async (): Promise<readonly string[]> =>
  (await list(kinds, "--all-namespaces")).map(
    ({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name ?? ""} ${metadata.resourceVersion ?? ""}`,
  );
/** Every object with its version, once the controllers have come to rest. */
const atRest = async (): Promise<readonly string[]> => {
  let last = await snapshot();
  return eventually("the cluster is at rest", 20_000, async () => {
    const next = await snapshot();
    const isAtRest = next.join() === last.join();
    last = next;
    return isAtRest ? next : undefined;
  });
};

const asks = (name: string, target: string): object =>
  flowgenPod("team-a", name, targets(`erp=${target}`), { ERP_URL: `http://user:s3cret@${target}/api` });
const seen = ({ metadata, spec }: Pod): object => ({
  env: spec.containers[0]?.env,
  labels: metadata.labels,
  status: metadata.annotations?.["flowgen.io/gateway-status"],
});
const applied = async (object: object, ...flags: readonly string[]): Promise<Pod> =>
  JSON.parse(await kubectl(["apply", "-o", "json", "-f", "-", ...flags], JSON.stringify(object))) as Pod;

t.test("a server-side dry run: the real answer, and nothing written anywhere", async (t) => {
  const webhook = await installed.start();
  t.teardown(webhook.stop);
  const check = async (name: string, target: string, host: string): Promise<void> => {
    const before = await atRest();
    const dry = await applied(asks(name, target), "--dry-run=server");
    t.match(seen(dry), { env: [{ value: `http://user:s3cret@${host}:8080/api` }] });
    t.strictSame(await snapshot(), before);
    t.strictSame(seen(await applied(asks(name, target))), seen(dry), "as the real one then is");
  };
  await check("first", "10.0.0.8:8080", HOST); // no gateway yet
  await check("second", "10.0.0.9:8080", "flowgen-wireguard-gateway-10-0-0-9-9fb59bef.flowgen-gateway.svc"); // one more
  const before = await atRest();
  const refused = await create(asks("refused", "169.254.169.254:80"), "--dry-run=server");
  t.match(refused, { code: 1, stderr: /target-forbidden/ });
  t.strictSame(await snapshot(), before);
});

t.test("no webhook: pods without the annotation start, others wait, and are created once it is back", async (t) => {
  await apply(
    flowgenDeployment("team-a", "plain", 1, {}),
    flowgenDeployment("team-a", "waiting", 2, targets("erp=10.0.0.8:8080")),
  );
  await podsOf("team-a", "plain", 1);
  const message = await eventually("an Event of the ReplicaSet", 20_000, async () => {
    const events = await list<{ message: string; reason: string; involvedObject: { name: string } }>(
      "events",
      "--namespace=team-a",
    );
    return events.find(
      ({ involvedObject, reason }) => involvedObject.name.startsWith("waiting-") && reason === "FailedCreate",
    )?.message;
  });
  t.match(message, /failed calling webhook "pods\.flowgen\.io": .*\/mutate.*: connection refused/);
  await podsOf("team-a", "waiting", 0);
  const webhook = await installed.start();
  t.teardown(webhook.stop);
  for (const pod of await podsOf("team-a", "waiting", 2))
    t.match(pod.metadata.labels, { "target.flowgen.io/erp": "true" });
});

t.test("pods without the annotation: no call", async (t) => {
  const webhook = await installed.start();
  t.teardown(webhook.stop);
  const countsNow = async (): Promise<readonly number[]> => {
    const sum = (text: string, metric: RegExp): number =>
      [...text.matchAll(metric)].reduce((total, [, value]) => total + Number(value), 0);
    const api = await kubectl(["get", "--raw", "/metrics"]);
    return [
      sum(api, /^apiserver_admission_webhook_request_total\{.*"pods\.flowgen\.io".*\} (\d+)$/gm),
      sum(await webhook.metrics(), /^flowgen_gateway_admission_duration_seconds_count.* (\d+)$/gm),
    ];
  };
  const before = await countsNow();
  await apply(flowgenDeployment("team-a", "unannotated", 3, { "example.com/note": "flowgen.io/private-targets" }), {
    ...flowgenPod("team-b", "alone", {}),
    metadata: { name: "alone", namespace: "team-b" },
  });
  await podsOf("team-a", "unannotated", 3);
  t.strictSame(await countsNow(), before);
  await made(asks("annotated", "10.0.0.8:8080"));
  t.strictSame(
    await countsNow(),
    before.map((count) => count + 1),
    "and one for a pod with it",
  );
});

/** The Service of its own that a third host on the port would have. */
const AUDITED = "flowgen-wireguard-gateway-10-0-0-99-40e451e2.flowgen-gateway.svc:8080";

t.test("audit mode: reported to kubectl and in the API server's audit log, and only the pod is written", async (t) => {
  const config = join(folder, "audit.yaml");
  await writeFile(config, example("webhook-config.yaml").replace("mode: enforce", "mode: audit"));
  const webhook = await installed.start({ options: [`--config=${config}`] });
  t.teardown(webhook.stop);
  const before = await atRest();
  const { code, stderr } = await create(asks("audited", "10.0.0.99:8080"));
  t.equal(code, 0);
  t.match(stderr, `Warning: audit: 10.0.0.99:8080 would be reached at ${AUDITED}\n`);
  t.match(stderr, "Warning: audit: env that would change: ERP_URL\n");
  const after = await snapshot();
  t.match(
    after.filter((line) => !before.includes(line)),
    [/^Pod team-a\/audited \d+$/],
  );
  t.equal(after.length, before.length + 1);
  const [pod] = await podsOf("team-a", "audited", 1);
  t.match(pod, asks("audited", "10.0.0.99:8080"));
  t.notOk("flowgen.io/gateway" in (pod?.metadata.labels ?? {}));

  const forbidden = await create(asks("forbidden", "169.254.169.254:80"));
  t.match(forbidden, {
    code: 0,
    stderr: /Warning: audit: [a-z-]+: would be rejected: flowgen\.io\/private-targets\[0\]: 169/,
  });

  type Entry = { objectRef?: { resource: string; name?: string }; verb: string; annotations?: Record<string, string> };
  const entryOf = (name: string): Promise<Entry> =>
    eventually("an entry of the audit log", 20_000, async () =>
      (await readFile(auditLog, "utf8"))
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Entry)
        .find(({ verb, objectRef }) => verb === "create" && objectRef?.resource === "pods" && objectRef.name === name),
    );
  const { annotations = {} } = await entryOf("audited");
  const ours = Object.entries(annotations).filter(([key]) => key.startsWith("pods.flowgen.io/"));
  t.strictSame(Object.fromEntries(ours), {
    "pods.flowgen.io/outcome": "audit",
    "pods.flowgen.io/reason": "would-inject",
    "pods.flowgen.io/gateway": "flowgen-gateway/flowgen-wireguard-gateway",
    "pods.flowgen.io/targets": `10.0.0.99:8080=${AUDITED}`,
    "pods.flowgen.io/env": "flowgen/ERP_URL",
  });
  t.match((await entryOf("forbidden")).annotations, {
    "pods.flowgen.io/outcome": "audit",
    "pods.flowgen.io/reason": "target-forbidden",
  });
  t.notMatch(await readFile(auditLog, "utf8"), /s3cret/);
});
