// The life of an installation by Helm on a real control plane, with flowgen pods coming all the time.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { HOST } from "../lab/control-plane/scene.ts";
import { minimalPod, documentedGateway, hostIn, streamAdmissions, TARGETS } from "../lab/kubelet/admissions.ts";
import { startCluster } from "../lab/kubelet/cluster.ts";
import { CHART, parseManifests, RELEASE } from "../lab/control-plane/helm.ts";
import { eventually } from "../wait.ts";

const cluster = await startCluster();
t.teardown(cluster.stop);
const { api, helm, kubectl, kubelet } = cluster;
const values = { config: { gateways: [documentedGateway()] }, webhook: { url: cluster.webhookUrl } };
const pod = minimalPod({ [TARGETS]: "mssql=10.0.0.5:1433" });
const create = () => api.ask("POST", "/api/v1/namespaces/team-a/pods", pod);

/** Waits for an answer by the config that is in force now: pods that end may still answer. */
const answered = (body: object, status: number): Promise<unknown> =>
  eventually(`an answer ${status}`, 20_000, async () => {
    const answer = await api.ask("POST", "/api/v1/namespaces/team-a/pods?dryRun=All", body);
    return answer.status === status ? answer : undefined;
  });

for (const namespace of ["team-a", "team-b", RELEASE]) await kubectl(["create", "namespace", namespace]);

const bundle = async (): Promise<string> => {
  const registration = await api.read<{ webhooks: { clientConfig: { caBundle?: string } }[] }>(
    `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${RELEASE}`,
  );
  return registration?.webhooks[0]?.clientConfig.caBundle ?? "";
};
const podsOf = async (app: string): Promise<readonly object[]> =>
  api.list(`/api/v1/namespaces/team-a/pods?labelSelector=app=${app}`);

t.test(
  "pods that are created before the webhook answers, or before caBundle is set, wait and are created later",
  async (t) => {
    await helm(["install", RELEASE, CHART], { ...values, replicaCount: 0 });
    t.equal(await bundle(), "");
    const labels = { app: "early", ...pod.metadata.labels };
    const template = { metadata: { labels, annotations: pod.metadata.annotations }, spec: pod.spec };
    const spec = { replicas: 2, selector: { matchLabels: { app: "early" } }, template };
    await kubectl(
      ["create", "-f", "-"],
      JSON.stringify({
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "early", namespace: "team-a" },
        spec,
      }),
    );
    await eventually("an Event of the refusal", 20_000, async () =>
      (await kubectl(["get", "events", "--namespace=team-a"])).includes("failed calling webhook") ? true : undefined,
    );
    t.strictSame(await podsOf("early"), []);
    await helm(["upgrade", RELEASE, CHART, "--wait", "--timeout=240s"], values);
    const pods = await eventually("two pods", 20_000, async () => {
      const found = await podsOf("early");
      return found.length === 2 ? found : undefined;
    });
    t.strictSame(pods.map(hostIn), Array(2).fill(HOST));
    await helm(["uninstall", RELEASE, "--wait"]);
  },
);

t.test("a gateway's namespace that exists already is reported, with the fix", async (t) => {
  await kubectl(["create", "namespace", "vpn"]);
  const config = { gateways: [{ ...documentedGateway(), namespace: "vpn" }] };
  await t.rejects(helm(["install", RELEASE, CHART], { ...values, config }), {
    message: /the namespace vpn exists already.* set gatewayNamespaces.create to false/,
  });
  const created = { ...values, config, gatewayNamespaces: { create: false }, replicaCount: 0 };
  await helm(["install", RELEASE, CHART, "--wait"], created);
  await helm(["upgrade", RELEASE, CHART, "--wait"], created);
  await helm(["uninstall", RELEASE, "--wait"]);
});

t.test("without a certificate the pods are not ready, and are not restarted after any time", async (t) => {
  const probe = { failureThreshold: 5, periodSeconds: 1 };
  const slow = { ...values, startupProbe: probe, livenessProbe: probe };
  await helm(["install", RELEASE, CHART], { ...slow, rbac: { create: false } });
  const refusals = () => [...kubelet.logs.values()].flat().filter(({ msg }) => msg === "certificates not in order");
  await eventually("refused probes", 20_000, async () => refusals().length > 1 || undefined);
  await sleep(7_000);
  t.strictSame(kubelet.crashes, []);
  t.equal(cluster.service.endpoints().length, 0);
  t.match(await chartTest(), { code: 1 }, "helm test fails");
  await helm(["upgrade", RELEASE, CHART, "--wait", "--timeout=240s"], slow);
  t.strictSame(kubelet.crashes, []);
  await helm(["uninstall", RELEASE, "--wait"]);
});

/**
 * Runs the command of the pod of `helm test`, for which there is no node, against the address that plays the Service's.
 */
const chartTest = async (): Promise<{ readonly code: number | null; readonly stdout: string }> => {
  const manifest = await helm(["get", "hooks", RELEASE]);
  const pod = parseManifests(manifest).find(({ kind }) => kind === "Pod") as unknown as TestPod;
  const [, ...args] = pod.spec.containers[0].command;
  const child = spawn(process.execPath, args, { env: { WEBHOOK: cluster.webhookUrl } });
  const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, "close") as Promise<[number | null]>]);
  return { code, stdout };
};
type TestPod = { readonly spec: { readonly containers: readonly [{ readonly command: readonly string[] }] } };

t.test("helm install ends when the webhook works", async (t) => {
  const said = await helm(["install", RELEASE, CHART, "--wait", "--timeout=240s"], values);
  t.match(said, /STATUS: deployed/);
  t.match(said, /create secret generic wireguard-client-a --from-file=wg0.conf --namespace flowgen-gateway/);
  t.match(said, /--reset-then-reuse-values --set config.mode=audit/);
  const { status, body } = await create();
  t.equal(status, 201, String(body["message"]));
  t.equal(hostIn(body), HOST);
  t.equal(cluster.service.endpoints().length, 2, "both replicas serve");
  t.match(await chartTest(), { code: 0, stdout: /^the webhook answers at/ }, "what helm test runs");
});

t.test("an upgrade and its rollback refuse no pod", async (t) => {
  const stream = streamAdmissions(api);
  const next = {
    ...values,
    config: { gateways: [documentedGateway({ allowedTargets: ["10.0.0.0/8", "192.168.0.0/16"] })] },
    image: { tag: "0.2.0" },
    resources: { limits: { memory: "300Mi" } },
  };
  const before = new Set(kubelet.logs.keys());
  const ca = await bundle();
  await helm(["upgrade", RELEASE, CHART, "--wait", "--timeout=240s"], next);
  const allowed = minimalPod({ [TARGETS]: "new=192.168.0.1:1433" });
  await answered(allowed, 201);
  t.equal(await bundle(), ca, "the CA that the webhook put in stays");
  await helm(["rollback", RELEASE, "1", "--wait", "--timeout=240s"]);
  await answered(allowed, 403);
  const { redirected, ...others } = await stream.stop();
  t.strictSame(others, { unchanged: 0, refused: [] });
  t.ok(redirected > 100, `${redirected} pods were redirected meanwhile`);
  t.equal([...kubelet.logs.keys()].filter((name) => !before.has(name)).length, 4, "every pod was replaced, twice");
  t.strictSame(kubelet.crashes, []);
});

t.test("a config that is not valid does not roll out, and the old pods serve on", async (t) => {
  const stream = streamAdmissions(api, 1);
  const bad = { ...values, config: { gateways: [documentedGateway({ allowedTargets: ["10.0.0.0/99"] })] } };
  await t.rejects(helm(["upgrade", RELEASE, CHART, "--wait", "--timeout=30s"], bad));
  t.match(kubelet.crashes[0], /allowedTargets\[0\].*10\.0\.0\.0\/99/, "the new pod says why");
  await helm(["rollback", RELEASE, "--wait", "--timeout=240s"]);
  const { unchanged, refused } = await stream.stop();
  t.strictSame([unchanged, refused], [0, []]);
});

t.test("helm uninstall leaves the gateways, and pods go on to start", async (t) => {
  const objects = async (): Promise<unknown[]> =>
    (
      await Promise.all(
        ["services", "configmaps"].map((kind) => api.list(`/api/v1/namespaces/flowgen-gateway/${kind}`)),
      )
    )
      .flat()
      .map(({ metadata }) => metadata);
  const before = await objects();
  const notes = await helm(["get", "notes", RELEASE]);
  const stream = streamAdmissions(api, 1);
  const said = await helm(["uninstall", RELEASE, "--wait", "--timeout=240s"]);
  t.strictSame((await stream.stop()).refused, []);
  t.match(said, /Namespace.*flowgen-gateway/s, "Helm says what it kept");
  t.strictSame(await objects(), before);
  t.match(await api.read("/apis/apps/v1/namespaces/flowgen-gateway/deployments/flowgen-wireguard-gateway"), {
    spec: { replicas: 1 },
  });
  const left = await kubectl([
    "get",
    "mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,clusterrolebindings,roles,rolebindings,deployments,configmaps,services,serviceaccounts,poddisruptionbudgets,networkpolicies",
    "--all-namespaces",
    "--selector=app.kubernetes.io/managed-by=Helm",
    "--output=name",
  ]);
  t.equal(left, "");
  // The policy of the gateways' objects is gone with the rest, a moment later.
  const [, remove = ""] = /kubectl (delete deployments,services,.*)/.exec(notes) ?? [];
  const removed = () => cluster.controlPlane.kubectl([...remove.split(" "), "--dry-run=server"]);
  await eventually(
    "what NOTES say removes the gateways",
    20_000,
    async () => (await removed()).code === 0 || undefined,
  );
});

t.test("it can be installed again, and gateways live in the namespaces that are named for them", async (t) => {
  const own = { ...documentedGateway(), name: "own", namespace: undefined };
  const config = { gateways: [documentedGateway(), own] };
  // Those of the former installation answer, by their config, until they have ended.
  await eventually("the release's pods end", 20_000, async () =>
    (await api.list(`/api/v1/namespaces/${RELEASE}/pods`)).length === 0 ? true : undefined,
  );
  await helm(["install", RELEASE, CHART, "--wait", "--timeout=240s"], {
    ...values,
    config,
    rbac: { namespaces: ["team-b"] },
  });
  // A registration comes into force a moment after it was made.
  await eventually("a pod is redirected", 20_000, async () => hostIn((await create()).body) === HOST || undefined);
  const asking = (namespace: string) =>
    api.ask(
      "POST",
      `/api/v1/namespaces/${namespace}/pods`,
      minimalPod({ [TARGETS]: "mssql=10.0.0.5:1433", "flowgen.io/gateway": "own" }, namespace),
    );
  t.equal(hostIn((await asking("team-b")).body), "own.team-b.svc");
  t.match(
    await asking("team-a"),
    { status: 500, body: { message: /forbidden/ } },
    "elsewhere the webhook may do nothing",
  );
});
