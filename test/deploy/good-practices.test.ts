// Kubernetes' "Admission Webhook Good Practices"
// (https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/), one test each: of
// the chart's objects, and of the webhook that it installs.
import { isDeepStrictEqual } from "node:util";
import t from "tap";
import type { ApiAnswer } from "../lab/control-plane/api.ts";
import { HOST } from "../lab/control-plane/scene.ts";
import { minimalPod, documentedGateway, hostIn, TARGETS } from "../lab/kubelet/admissions.ts";
import { startCluster } from "../lab/kubelet/cluster.ts";
import { CHART, type RenderedObject, parseManifests, RELEASE } from "../lab/control-plane/helm.ts";
import { eventually } from "../wait.ts";

const cluster = await startCluster();
t.teardown(cluster.stop);
const { api, helm, kubectl, kubelet } = cluster;
const values = { config: { gateways: [documentedGateway()] }, webhook: { url: cluster.webhookUrl } };
for (const namespace of ["team-a", "team-b", RELEASE]) await kubectl(["create", "namespace", namespace]);
await helm(["install", RELEASE, CHART, "--wait", "--timeout=240s"], values);

type Webhook = {
  readonly rules: readonly Readonly<Record<string, readonly string[]>>[];
  readonly namespaceSelector: { readonly matchExpressions: readonly { readonly values: readonly string[] }[] };
  readonly [field: string]: unknown;
};
const made = parseManifests(await helm(["get", "manifest", RELEASE]));
const ofKind = (kind: string): RenderedObject => made.find((each) => each.kind === kind) as RenderedObject;
const [webhook] = ofKind("MutatingWebhookConfiguration")["webhooks"] as [Webhook];

type Body = ReturnType<typeof minimalPod>;
type Sent = { readonly metadata: Body["metadata"]; readonly spec: object };
const create = (pod: Sent, namespace = "team-a", query = "?dryRun=All"): Promise<ApiAnswer> =>
  api.ask("POST", `/api/v1/namespaces/${namespace}/pods${query}`, {
    ...pod,
    metadata: { ...pod.metadata, namespace },
  });
/** The answer of the API server to a new pod. */
const again = ({ body }: ApiAnswer): Body => {
  const { metadata, spec } = body as unknown as Body;
  const { labels, annotations } = metadata;
  return { ...minimalPod(annotations), metadata: { ...minimalPod(annotations).metadata, labels }, spec };
};
const mssql = minimalPod({ [TARGETS]: "mssql=10.0.0.5:1433" });
const redirected = await create(mssql, "team-a", "");
t.equal(hostIn(redirected.body), HOST);

/** The sum over both replicas of a metric whose line begins so. */
const metric = async (line: string): Promise<number> => {
  const texts = await Promise.all(
    cluster.service.endpoints().map(async ({ host }) => (await fetch(`http://${host}:9090/metrics`)).text()),
  );
  const numbers = texts.flatMap((text) => text.split("\n").filter((each) => each.startsWith(line)));
  return numbers.reduce((sum, each) => sum + Number(each.split(" ").at(-1)), 0);
};
/** By how much a metric grows meanwhile. */
const growth = async (line: string, work: () => Promise<unknown>): Promise<number> => {
  const before = await metric(line);
  await work();
  return (await metric(line)) - before;
};
const admissions = (rest = ""): string => `flowgen_gateway_admissions_total${rest}`;

t.test("1. one webhook, and few API calls: none for a known target", async (t) => {
  type Webhook = { readonly name: string; readonly rules: readonly { readonly resources: readonly string[] }[] };
  const webhooks = ofKind("MutatingWebhookConfiguration")["webhooks"] as readonly Webhook[];
  const changesPods = ({ rules }: Webhook): boolean => rules.some(({ resources }) => resources.includes("pods"));
  t.strictSame(
    webhooks.filter(changesPods).map(({ name }) => name),
    ["pods.flowgen.io"],
    "the other one says at `kubectl apply` what pods will get",
  );
  t.equal(made.filter(({ kind }) => kind.endsWith("WebhookConfiguration")).length, 1);
  for (let replica = 0; replica < 8; replica += 1) await create(mssql);
  const calls = ["ConfigMap", "Service", "Deployment", "NetworkPolicy", "Pod", "Event"];
  const asked = () =>
    Promise.all(
      ["get", "apply", "list", "create"].flatMap((verb) =>
        calls.map((kind) => metric(`flowgen_gateway_api_calls_total{verb="${verb}",kind="${kind}"`)),
      ),
    );
  // The keeper of the certificate writes an Event sometimes. It is no admission's where 20 of them pass without a call.
  const quiet = await eventually("admissions that make no request", 20_000, async () => {
    const before = await asked();
    for (let count = 0; count < 20; count += 1) await create(mssql);
    return isDeepStrictEqual(await asked(), before) || undefined;
  });
  t.ok(quiet);
});

t.test("2. no endless patching: its own output stays as it is", async (t) => {
  const second = await create(again(redirected));
  t.strictSame(again(second), again(redirected));
});

t.test("3. several replicas behind a Service, and one may die", async (t) => {
  t.match(ofKind("Deployment"), { spec: { replicas: 2, strategy: { rollingUpdate: { maxUnavailable: 0 } } } });
  t.match(ofKind("PodDisruptionBudget"), { spec: { maxUnavailable: 1 } });
  t.equal(cluster.service.endpoints().length, 2);
  const [name = ""] = kubelet.logs.keys();
  kubelet.kill(name);
  await eventually("one endpoint", 20_000, async () => cluster.service.endpoints().length === 1 || undefined);
  t.equal(hostIn((await create(mssql)).body), HOST);
  await eventually("two endpoints", 20_000, async () => cluster.service.endpoints().length === 2 || undefined);
});

t.test("4. a small timeout", async (t) => {
  t.ok(Number(webhook["timeoutSeconds"]) <= 10);
  const started = performance.now();
  await create(minimalPod({ [TARGETS]: "slow=10.0.0.99:1433" }));
  t.ok(performance.now() - started < 10_000, "the first of a target, too");
});

t.test("5. narrow rules, without wildcards", async (t) => {
  t.strictSame(webhook.rules, [
    { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"], scope: "Namespaced" },
  ]);
});

t.test("6. match conditions: pods without a mark are not asked about", async (t) => {
  t.equal(await growth(admissions(), () => create(minimalPod({}))), 0);
  t.equal(await growth(admissions(), () => create(mssql)), 1);
});

t.test("7. matchPolicy Equivalent", async (t) => {
  t.equal(webhook["matchPolicy"], "Equivalent");
});

t.test("8. a patch only where something must change", async (t) => {
  const unchanged = admissions('{outcome="skip",reason="unchanged"}');
  t.equal(await growth(unchanged, () => create(again(redirected))), 1);
});

t.test("9. arrays are added to, never replaced", async (t) => {
  const env = [{ name: "FIRST", value: "1" }, ...(mssql.spec.containers[0]?.env ?? []), { name: "LAST", value: "2" }];
  const tolerations = [{ key: "dedicated", operator: "Exists" }];
  const containers = [
    { name: "flowgen", image: "x", env },
    { name: "sidecar", image: "y", env: [] },
  ];
  const { body } = await create({ ...mssql, spec: { containers, tolerations } });
  t.match(body, {
    spec: {
      containers: [
        { env: [{ name: "FIRST" }, { value: HOST }, { value: "1433" }, { name: "LAST" }] },
        { name: "sidecar" },
      ],
    },
  });
  t.match((body["spec"] as { tolerations: unknown[] }).tolerations[0], tolerations[0]);
});

t.test("10. no side effects in a dry run", async (t) => {
  t.equal(webhook["sideEffects"], "NoneOnDryRun");
  const objects = async (): Promise<unknown> =>
    Promise.all(
      ["configmaps", "services", "events"].map((kind) => api.list(`/api/v1/namespaces/flowgen-gateway/${kind}`)),
    );
  const before = await objects();
  const { body } = await create(minimalPod({ [TARGETS]: "mssql=10.0.0.5:1433, new=10.0.0.77:1433" }));
  t.equal(hostIn(body), HOST);
  t.strictSame(await objects(), before);
});

t.test("11. it never matches itself", async (t) => {
  t.ok(webhook.namespaceSelector.matchExpressions[0]?.values.includes(RELEASE));
  t.equal(await growth(admissions(), async () => t.match(await create(mssql, RELEASE), { status: 201 })), 0);
  t.match(ofKind("Deployment"), { spec: { template: { metadata: { annotations: { [TARGETS]: undefined } } } } });
});

t.test("12. no dependency loop: no object that the webhook needs waits for the webhook", async (t) => {
  const hosts = (): readonly string[] => cluster.service.endpoints().map(({ host }) => host);
  const before = hosts();
  await kubectl(["delete", "pods", "--all", "--wait=false", `--namespace=${RELEASE}`]);
  for (const namespace of ["kube-system", "flowgen-gateway", RELEASE])
    t.match(await create(mssql, namespace), { status: 201 }, namespace);
  const others = (): readonly string[] => hosts().filter((host) => !before.includes(host));
  await eventually(
    "two pods on two nodes",
    20_000,
    async () => (others().length === 2 && hosts().length === 2) || undefined,
  );
  t.equal(
    hostIn(
      (
        await eventually("a pod is admitted", 20_000, async () =>
          (await create(mssql)).status === 201 ? create(mssql) : undefined,
        )
      ).body,
    ),
    HOST,
  );
});

t.test("13. fails closed; opened by the admin, a policy on the final state finds unredirected pods", async (t) => {
  t.equal(webhook["failurePolicy"], "Fail");
  const open = { ...values, webhook: { ...values.webhook, failurePolicy: "Ignore" }, replicaCount: 0 };
  await helm(["upgrade", RELEASE, CHART, "--wait", "--timeout=240s"], open);
  const { body } = await eventually("the policy refuses the pod", 20_000, async () => {
    const answer = await create(mssql);
    return answer.status === 422 ? answer : undefined;
  });
  t.match(body["message"], /the pod asks for private targets .* did not answer; try again when it does/);
  const renamed = { ...mssql, metadata: { ...mssql.metadata, labels: { app: "flowgen" } } };
  t.match(await create(renamed), { status: 422 }, "as the flowgen chart's nameOverride labels it");
  const free: Readonly<Record<string, Sent>> = {
    "without targets": minimalPod({}),
    "in audit mode": minimalPod({ [TARGETS]: "mssql=10.0.0.5:1433", "flowgen.io/mode": "audit" }),
    disabled: minimalPod({ [TARGETS]: "mssql=10.0.0.5:1433", "flowgen.io/mode": "disabled" }),
    "of another program": { ...mssql, metadata: { ...mssql.metadata, labels: {} } },
    "redirected before": again(redirected),
  };
  for (const [what, pod] of Object.entries(free)) t.match(await create(pod), { status: 201 }, what);
  const forged = {
    ...minimalPod({}),
    metadata: { ...mssql.metadata, annotations: {}, labels: { "target.flowgen.io/mssql": "true" } },
  };
  t.match(await create(forged), { status: 422, body: { message: /written by flowgen-gateway-webhook; remove them/ } });
  await helm(["upgrade", RELEASE, CHART, "--wait", "--timeout=240s"], {
    ...open,
    config: { ...values.config, mode: "audit" },
  });
  await eventually("a pod is admitted", 20_000, async () => (await create(mssql)).status === 201 || undefined);
  t.match(await create(forged), { status: 201 }, "in audit mode no pod is refused, with the webhook or without");
  await helm(["upgrade", RELEASE, CHART, "--wait", "--timeout=240s"], values);
});

t.test("14. unknown fields stay", async (t) => {
  const extra = { setHostnameAsFQDN: true, schedulingGates: [{ name: "example.com/quota" }], os: { name: "linux" } };
  const { body } = await create({ ...mssql, spec: { ...mssql.spec, ...extra } });
  t.match(body, { spec: extra });
  t.equal(hostIn(body), HOST);
});

t.test("15. its own objects do not trigger it", async (t) => {
  const pods = await eventually("the gateway's pod", 20_000, async () => {
    const found = await api.list("/api/v1/namespaces/flowgen-gateway/pods");
    return found.length > 0 ? found : undefined;
  });
  const marks = pods.flatMap(({ metadata }) => [
    ...Object.keys(metadata.labels ?? {}),
    ...Object.keys(metadata.annotations ?? {}),
  ]);
  t.notOk(marks.some((key) => key.startsWith("target.") || key === TARGETS || key === "flowgen.io/gateway-status"));
  t.equal(await metric(admissions('{outcome="skip",reason="gateway-pod"}')), 0);
});

t.test("16. objects that cannot be changed are left alone: mirror pods", async (t) => {
  const annotations = { ...mssql.metadata.annotations, "kubernetes.io/config.mirror": "x" };
  const { status, body } = await create({
    ...mssql,
    metadata: { ...mssql.metadata, annotations },
    spec: { ...mssql.spec, nodeName: "played" },
  });
  t.equal(status, 201, String(body["message"]));
  t.equal(hostIn(body), "10.0.0.5");
});

t.test(
  "17. idempotent after any earlier webhook: a container that is added later is redirected, the others stay unchanged",
  async (t) => {
    t.equal(webhook["reinvocationPolicy"], "IfNeeded");
    const before = again(redirected);
    const late = { name: "late", image: "z", env: [{ name: "DB", value: "10.0.0.5:1433" }] };
    const { body } = await create({
      ...before,
      spec: { ...before.spec, containers: [...before.spec.containers, late] },
    });
    const { containers } = (body as unknown as Body).spec;
    t.match(containers[1], { name: "late", env: [{ value: HOST }] });
    t.strictSame(containers[0]?.env, before.spec.containers[0]?.env);
  },
);

t.test("18. only the creation of pods", async (t) => {
  t.strictSame(webhook.rules[0]?.["operations"], ["CREATE"]);
  const path = `/api/v1/namespaces/team-a/pods/${(redirected.body["metadata"] as { name: string }).name}`;
  const label = { metadata: { labels: { team: "dba" } } };
  t.equal(await growth(admissions(), () => api.ask("PATCH", path, label, "application/merge-patch+json")), 0);
});

t.test("19. the control plane is left alone, and only admins configure the webhook", async (t) => {
  for (const namespace of ["kube-system", "kube-node-lease", "kube-public"]) {
    t.ok(webhook.namespaceSelector.matchExpressions[0]?.values.includes(namespace));
    t.equal(await growth(admissions(), async () => t.match(await create(mssql, namespace), { status: 201 })), 0);
  }
  await kubectl(["create", "rolebinding", "dev", "--clusterrole=admin", "--user=dev", "--namespace=team-a"]);
  const may = (verb: string, what: string, namespace: string) =>
    cluster.controlPlane.kubectl(["auth", "can-i", verb, what, `--namespace=${namespace}`, "--as=dev"]);
  t.match(await may("create", "pods", "team-a"), { stdout: "yes\n" });
  for (const what of [
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
  ])
    t.match(await may("update", what, ""), { stdout: "no\n" }, what);
  for (const what of ["configmaps", "secrets", "deployments", "rolebindings"]) {
    t.match(await may("update", what, RELEASE), { stdout: "no\n" }, what);
    t.match(await may("update", what, "flowgen-gateway"), { stdout: "no\n" }, what);
  }
});
