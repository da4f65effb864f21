// The promises of the installation against hostile pods, a stolen token of the webhook, and editors of the objects that
// it reads. Later stages: test/tunnel/hostile-lines.test.ts has lines of a table and of a tunnel's Secret that hold
// commands. Texts that are never a host, a target or a table are in test/core/host.test.ts,
// test/core/annotation.test.ts and test/core/forwards/allocate.test.ts.
import t from "tap";
import { type ApiAnswer, connectTo } from "../lab/control-plane/api.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { HOST } from "../lab/control-plane/scene.ts";
import { minimalPod, documentedGateway, hostIn, TARGETS } from "../lab/kubelet/admissions.ts";
import { startCluster } from "../lab/kubelet/cluster.ts";
import { CHART, RELEASE } from "../lab/control-plane/helm.ts";
import { eventually } from "../wait.ts";

const cluster = await startCluster();
t.teardown(cluster.stop);
const { api, helm, kubectl } = cluster;
const values = {
  config: { gateways: [documentedGateway({ namespaces: ["team-a"] })] },
  webhook: { url: cluster.webhookUrl },
};
for (const namespace of ["team-a", "team-b", RELEASE]) await kubectl(["create", "namespace", namespace]);
await helm(["install", RELEASE, CHART, "--wait", "--timeout=240s"], values);

/** Someone who may write the gateways' objects past their policy. */
const [, user = ""] = (await breakGlass(kubectl, "flowgen-gateway")).split("=");
const breaker = connectTo(cluster.controlPlane, { user });
t.teardown(breaker.close);
const MERGE = "application/merge-patch+json";
const APPLY = "application/apply-patch+yaml";
type Body = ReturnType<typeof minimalPod>;
const create = (pod: Body): Promise<ApiAnswer> =>
  api.ask("POST", `/api/v1/namespaces/${pod.metadata.namespace}/pods`, pod);
const asking = (targets: string, more: Readonly<Record<string, string>> = {}, namespace = "team-a"): Body =>
  minimalPod({ [TARGETS]: targets, ...more }, namespace);
const labelled = (pod: Body, labels: Readonly<Record<string, string>>): Body => ({
  ...pod,
  metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...labels } },
});
const path = (kind: string): string => `/api/v1/namespaces/flowgen-gateway/${kind}`;
const table = "flowgen-wireguard-gateway-forwards";
const forwards = async (): Promise<string> =>
  (await api.read<{ data: Record<string, string> }>(path(`configmaps/${table}`)))?.data["forwards"] ?? "";

t.equal(hostIn((await create(asking("mssql=10.0.0.5:1433"))).body), HOST);

t.test("a pod gets no forward that the config does not grant", async (t) => {
  const before = await forwards();
  const refused: readonly (readonly [what: string, pod: Body, reason: RegExp])[] = [
    ["outside allowedTargets", asking("x=192.168.0.1:1433"), /target-not-allowed/],
    ["a name, where only addresses are allowed", asking("x=db.corp.example.com:1433"), /target-not-allowed/],
    ["cloud metadata", asking("x=169.254.169.254:80"), /target-forbidden/],
    ["loopback", asking("x=127.0.0.1:10250"), /target-forbidden/],
    ["the cluster's own", asking("x=kubernetes.default.svc:443"), /target-forbidden/],
    ["another namespace's tunnel", asking("x=10.0.0.5:1433", {}, "team-b"), /tunnel-namespace/],
    ["a gateway that is none", asking("x=10.0.0.5:1433", { "flowgen.io/gateway": "mine" }), /gateway-unknown/],
  ];
  for (const [what, pod, reason] of refused) {
    const { status, body } = await create(pod);
    t.ok(status >= 400 && status < 500, what);
    t.match(body["message"], reason, what);
  }
  t.equal(await forwards(), before, "and the table has none of them");
  const policy = await api.read<{ spec: { ingress: object[] } }>(
    "/apis/networking.k8s.io/v1/namespaces/flowgen-gateway/networkpolicies/flowgen-wireguard-gateway",
  );
  t.match(policy?.spec.ingress, [
    {
      from: [
        {
          namespaceSelector: { matchExpressions: [{ values: ["team-a"] }] },
          podSelector: { matchLabels: { "target.flowgen.io/mssql": "true" } },
        },
      ],
    },
    { from: [{ podSelector: { matchLabels: { "app.kubernetes.io/name": "prometheus" } } }], ports: [{ port: 65534 }] },
  ]);
  t.equal(policy?.spec.ingress.length, 2);
});

t.test("no user forges a label or a status", async (t) => {
  const label = { "target.flowgen.io/warehouse": "true" };
  const atCreation: Readonly<Record<string, Body>> = {
    "a label, without targets": labelled(minimalPod({}), label),
    "a status, without targets": minimalPod({ "flowgen.io/gateway-status": "{}" }),
    "a label, in audit mode": labelled(asking("mssql=10.0.0.5:1433", { "flowgen.io/mode": "audit" }), label),
    "a label, disabled": labelled(asking("mssql=10.0.0.5:1433", { "flowgen.io/mode": "disabled" }), label),
    "where the webhook is not asked": labelled(minimalPod({}, "flowgen-gateway"), label),
    "annotated, where the webhook is not asked": labelled(asking("mssql=10.0.0.5:1433", {}, "flowgen-gateway"), label),
  };
  for (const [what, pod] of Object.entries(atCreation)) {
    const { status } = await create(pod);
    t.ok(status === 403 || status === 422, `${what}: ${status}`);
  }
  const { body } = await create(labelled(asking("mssql=10.0.0.5:1433"), label));
  t.notMatch(Object.keys(body.metadata.labels ?? {}), "target.flowgen.io/warehouse", "a label beside targets goes");

  const plain = (await create(minimalPod({}))).body.metadata;
  const pod = `/api/v1/namespaces/team-a/pods/${plain.name}`;
  const marks = [
    { labels: label },
    { labels: { "flowgen.io/gateway": "x" } },
    { annotations: { "flowgen.io/gateway-status": "{}" } },
  ];
  for (const metadata of marks) {
    for (const subresource of ["", "/status"]) {
      t.match(
        await api.ask("PATCH", `${pod}${subresource}`, { metadata }, MERGE),
        { status: 422 },
        `update of pods${subresource}`,
      );
    }
    const binding = {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name: plain.name, ...metadata },
      target: { kind: "Node", name: "played" },
    };
    t.match(await api.ask("POST", `${pod}/binding`, binding), { status: 422 }, "a binding");
    const ephemeral = { metadata, spec: { ephemeralContainers: [{ name: "debug", image: "x" }] } };
    t.match(
      await api.ask("PATCH", `${pod}/ephemeralcontainers`, ephemeral, "application/strategic-merge-patch+json"),
      { status: 200 },
      "an ephemeral container changes no metadata",
    );
    await api.ask("PATCH", `${pod}/resize`, { metadata }, "application/strategic-merge-patch+json");
  }
  const after = JSON.stringify(
    (await api.read<{ metadata: object }>(pod))?.metadata ?? {},
    (key: string, value: unknown) => (key === "managedFields" ? undefined : value),
  );
  t.notMatch(after, /target\.flowgen\.io|flowgen\.io\/gateway/, "after all of it the pod has no mark");
});

t.test(
  "the webhook's token reads no Secret but its certificate's, and writes nothing but gateways' objects",
  async (t) => {
    await kubectl([
      "create",
      "secret",
      "generic",
      "wireguard-client-a",
      "--from-literal=wg0.conf=x",
      "--namespace=flowgen-gateway",
    ]);
    await kubectl(["create", "secret", "generic", "theirs", "--from-literal=a=b", `--namespace=${RELEASE}`]);
    await kubectl(["create", "configmap", "theirs", "--from-literal=a=b", "--namespace=flowgen-gateway"]);
    await kubectl(["create", "deployment", "theirs", "--image=x", "--namespace=flowgen-gateway"]);
    const token = (await kubectl(["create", "token", RELEASE, `--namespace=${RELEASE}`])).trim();
    const thief = connectTo(cluster.controlPlane, { token });
    t.teardown(thief.close);
    const status = async (method: string, url: string, body?: object, type?: string): Promise<number> =>
      (await thief.ask(method, url, body, type)).status;
    const own = `/api/v1/namespaces/${RELEASE}`;

    t.equal(await status("GET", `${own}/secrets/${RELEASE}-tls`), 200, "its certificate's Secret");
    for (const url of [
      `${own}/secrets/theirs`,
      `${own}/secrets`,
      "/api/v1/secrets",
      path("secrets"),
      path("secrets/wireguard-client-a"),
      "/api/v1/namespaces/kube-system/secrets",
    ])
      t.equal(await status("GET", url), 403, url);

    const pods = await eventually("two pods in the gateways' namespace", 20_000, async () => {
      const found = await api.list(path("pods"));
      return found.length >= 2 ? found : undefined;
    });
    const named = (own: boolean): string =>
      pods.find(({ metadata }) => (metadata.labels?.["app.kubernetes.io/component"] === "wireguard-gateway") === own)
        ?.metadata.name ?? "";
    const gatewayPod = path(`pods/${named(true)}`);
    t.equal(
      await status("PATCH", gatewayPod, { metadata: { annotations: { touched: "now" } } }, MERGE),
      200,
      "a gateway's pod is touched",
    );

    const configMap = (name: string) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, labels: { "app.kubernetes.io/managed-by": RELEASE } },
    });
    const writes: readonly (readonly [what: string, method: string, url: string, body?: object, type?: string])[] = [
      ["another's ConfigMap", "PATCH", path("configmaps/theirs"), { data: { a: "c" } }, MERGE],
      ["a new ConfigMap", "POST", path("configmaps"), configMap("new")],
      ["a new ConfigMap, by apply", "PATCH", `${path("configmaps/new")}?fieldManager=x`, configMap("new"), APPLY],
      [
        "another's Deployment",
        "PATCH",
        "/apis/apps/v1/namespaces/flowgen-gateway/deployments/theirs",
        { spec: { replicas: 0 } },
        MERGE,
      ],
      ["a Deployment elsewhere", "POST", "/apis/apps/v1/namespaces/team-a/deployments", {}],
      ["a pod", "POST", path("pods"), minimalPod({}, "flowgen-gateway")],
      ["a gateway's object deleted", "DELETE", path(`configmaps/${table}`)],
      ["all of them deleted", "DELETE", path("configmaps")],
      ["its own config", "PATCH", `${own}/configmaps/${RELEASE}-config`, { data: { "config.yaml": "" } }, MERGE],
      ["a role", "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/flowgen-gateway/rolebindings", {}],
      ["another's registration", "POST", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", {}],
      [
        "a policy",
        "DELETE",
        `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${RELEASE}-own-objects`,
      ],
    ];
    for (const [what, method, url, body, type] of writes) t.equal(await status(method, url, body, type), 403, what);

    t.equal(
      await status(
        "PATCH",
        `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${RELEASE}?dryRun=All`,
        { webhooks: [] },
        MERGE,
      ),
      200,
      "its own registration, whole: the threat model says what that means",
    );

    // A policy has the rules that RBAC cannot express.
    t.equal(
      await status(
        "PATCH",
        path(`configmaps/${table}`),
        { metadata: { labels: { "app.kubernetes.io/managed-by": "x" } } },
        MERGE,
      ),
      422,
    );
    t.equal(
      await status("PATCH", gatewayPod, { metadata: { labels: { a: "b" } } }, MERGE),
      422,
      "a gateway pod's labels",
    );
    const image = { spec: { containers: [{ name: "wireguard", image: "evil" }] } };
    t.equal(
      await status("PATCH", gatewayPod, image, "application/strategic-merge-patch+json"),
      422,
      "a gateway pod's image",
    );
    t.equal(
      await status("PATCH", path(`pods/${named(false)}`), { metadata: { annotations: { a: "b" } } }, MERGE),
      422,
      "another's pod",
    );
  },
);

t.test("the webhook's token writes and deletes no Service but its gateways'", async (t) => {
  const token = (await kubectl(["create", "token", RELEASE, `--namespace=${RELEASE}`])).trim();
  const thief = connectTo(cluster.controlPlane, { token });
  t.teardown(thief.close);
  const selector = (gateway: string) => ({
    "app.kubernetes.io/name": "flowgen",
    "app.kubernetes.io/instance": gateway,
    "app.kubernetes.io/component": "wireguard-gateway",
  });
  const GATEWAY = "flowgen-wireguard-gateway";
  const OWN = `${GATEWAY}-erp-0123abcd`;
  const ports = [{ name: "erp", port: 1433, targetPort: 1500, protocol: "TCP" }];
  const service = (name: string, spec: object = {}, gateway = GATEWAY) => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name,
      namespace: "flowgen-gateway",
      labels: { "app.kubernetes.io/managed-by": RELEASE, "flowgen.io/gateway": gateway },
    },
    spec: { type: "ClusterIP", selector: selector(gateway), ports, ...spec },
  });
  const applied = (object: ReturnType<typeof service>) =>
    thief.ask("PATCH", `${path(`services/${object.metadata.name}`)}?fieldManager=x&force=true`, object, APPLY);
  const deleted = (name: string) => thief.ask("DELETE", path(`services/${name}`));

  t.match(await applied(service(OWN)), { status: 201 }, "a host's own Service is made");
  t.match(await applied(service(OWN, { ports: [...ports, { name: "b", port: 1434, protocol: "TCP" }] })), {
    status: 200,
  });
  const services = await thief.read<{ items: object[] }>(path(`services?labelSelector=flowgen.io/gateway=${GATEWAY}`));
  t.equal(services?.items.length, 2, "and listed with the gateway's");

  await kubectl(["create", "service", "clusterip", "theirs", "--tcp=80", "--namespace=flowgen-gateway"]);
  const theirs = { metadata: { labels: service("").metadata.labels } };
  const refused: readonly (readonly [what: string, asked: Promise<ApiAnswer>, reason: RegExp])[] = [
    ["another name", applied(service("kubernetes")), /named after a gateway/],
    ["a name that only begins like it", applied(service(`${GATEWAY}s`)), /named after a gateway/],
    ["a gateway that the config has not", applied(service("other", {}, "other")), /named after a gateway/],
    ["no gateway", applied(service("-x", {}, "")), /named after a gateway|invalid/i],
    ["other pods", applied(service(`${OWN}1`, { selector: { app: "theirs" } })), /select their gateway's pods/],
    ["no selector", applied(service(`${OWN}1`, { selector: null })), /select their gateway's pods/],
    ["other pods, later", applied(service(OWN, { selector: { app: "theirs" } })), /select their gateway's pods/],
    ["a port of every node", applied(service(`${OWN}1`, { type: "NodePort" })), /type ClusterIP/],
    ["a load balancer, later", applied(service(OWN, { type: "LoadBalancer" })), /type ClusterIP/],
    ["an outside name", applied(service(`${OWN}1`, { type: "ExternalName", externalName: "a.b" })), /type ClusterIP/],
    [
      "others' addresses",
      applied(service(`${OWN}1`, { externalIPs: ["203.0.113.7"] })),
      /addresses or names from outside/,
    ],
    [
      "others' addresses, later",
      applied(service(OWN, { externalIPs: ["203.0.113.7"] })),
      /addresses or names from out/,
    ],
    ["others' Service", thief.ask("PATCH", path("services/theirs"), theirs, MERGE), /only objects with the label/],
    ["others' Service deleted", deleted("theirs"), /only objects with the label/],
    ["the gateway's own deleted", deleted(GATEWAY), /never a gateway's own/],
    ["all of them deleted", thief.ask("DELETE", path("services")), /cannot deletecollection/],
    [
      "a Service elsewhere",
      thief.ask("POST", "/api/v1/namespaces/team-a/services", service(OWN)),
      /cannot create|namespace/,
    ],
  ];
  for (const [what, asked, reason] of refused) {
    const { status, body } = await asked;
    t.ok([400, 403, 422].includes(status), `${what}: ${status}`);
    t.match((body as { message?: string }).message, reason, what);
  }
  const names = (await api.list(path("services"))).map(({ metadata }) => metadata.name);
  t.strictSame(names.sort(), [GATEWAY, OWN, "theirs"], "after all of it there is none more");

  await t.test("fields that others set on a Service do not keep the webhook from writing it", async (t) => {
    const outside = { spec: { externalIPs: ["203.0.113.7"] } };
    t.match(await breaker.ask("PATCH", path(`services/${OWN}`), outside), { status: 200 });
    t.match(await applied(service(OWN)), { status: 200, body: outside });
  });
  t.match(await deleted(OWN), { status: 200 }, "a host's own Service is deleted");
});

t.test(
  "the webhook's token writes no disruption budget but its gateways', and deletes no other's Deployment",
  async (t) => {
    const token = (await kubectl(["create", "token", RELEASE, `--namespace=${RELEASE}`])).trim();
    const thief = connectTo(cluster.controlPlane, { token });
    t.teardown(thief.close);
    const GATEWAY = "flowgen-wireguard-gateway";
    const budgets = (namespace: string): string => `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
    const matchLabels = {
      "app.kubernetes.io/name": "flowgen",
      "app.kubernetes.io/instance": GATEWAY,
      "app.kubernetes.io/component": "wireguard-gateway",
    };
    const budget = (spec: object, labels: object = { "app.kubernetes.io/managed-by": RELEASE }) => ({
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: { name: GATEWAY, labels: { ...labels, "flowgen.io/gateway": GATEWAY } },
      spec: { maxUnavailable: 1, selector: { matchLabels }, ...spec },
    });
    const applied = (object: ReturnType<typeof budget>, name = GATEWAY, namespace = "flowgen-gateway") =>
      thief.ask(
        "PATCH",
        `${budgets(namespace)}/${name}?fieldManager=x&force=true`,
        { ...object, metadata: { ...object.metadata, name } },
        APPLY,
      );
    const expressions = [{ key: "app.kubernetes.io/component", operator: "Exists" }];
    const refused: readonly (readonly [what: string, asked: Promise<ApiAnswer>, reason: RegExp])[] = [
      ["other pods", applied(budget({ selector: { matchLabels: { app: "theirs" } } })), /one pod of the gateway/],
      ["all pods", applied(budget({ selector: {} })), /one pod of the gateway/],
      [
        "fewer of them",
        applied(budget({ selector: { matchLabels, matchExpressions: expressions } })),
        /one pod of the/,
      ],
      ["none may go", applied(budget({ maxUnavailable: 0 })), /one pod of the gateway/],
      ["another way to say so", applied(budget({ maxUnavailable: null, minAvailable: 1 })), /one pod of the gateway/],
      ["without the mark", applied(budget({}, {})), /only objects with the label/],
      ["another name", applied(budget({}), "theirs"), /cannot patch/],
      ["elsewhere", applied(budget({}), GATEWAY, "team-a"), /cannot patch/],
      [
        "others' Deployment deleted",
        thief.ask("DELETE", "/apis/apps/v1/namespaces/flowgen-gateway/deployments/theirs"),
        /cannot delete/,
      ],
    ];
    for (const [what, asked, reason] of refused) {
      const { status, body } = await asked;
      t.ok([403, 422].includes(status), `${what}: ${status}`);
      t.match((body as { message?: string }).message, reason, what);
    }
    t.strictSame(await api.list(budgets("flowgen-gateway")), [], "after all of it there is none");
    t.match(await applied(budget({})), { status: 201 }, "the gateway's own is made");
    t.match(await applied(budget({ maxUnavailable: 0 })), { status: 422 }, "and stays as it is");
    t.match(await thief.ask("DELETE", `${budgets("flowgen-gateway")}/${GATEWAY}`), { status: 200 }, "and deleted");
  },
);

// socat takes what follows `!!` for an address of its own, and EXEC runs a program; a shell runs what stands in $( ).
const HOSTILE = [
  "10.0.0.5:5432!!EXEC:touch /tmp/owned",
  "$(touch /tmp/owned)",
  "10.0.0.5;reboot",
  "`id`",
  "-x",
  "10.0.0.5\n1 2 3 wg0",
];

t.test("a hostile annotation is refused in any form", async (t) => {
  for (const host of HOSTILE) {
    const entry = [{ name: "x", targetHost: host, targetPort: 5432 }];
    t.match(
      await create(asking(JSON.stringify(entry))),
      { status: 422, body: { message: /annotation-invalid/ } },
      JSON.stringify(host),
    );
  }
  t.match(await create(asking(`x=${HOSTILE[0] ?? ""}`)), { status: 422 });
  t.notMatch(await forwards(), /touch|EXEC|reboot|`/);
});

t.test("a hostile table, edited by hand, is refused with table-invalid and never overwritten", async (t) => {
  const url = path(`configmaps/${table}`);
  t.match(
    await api.ask("PATCH", url, { data: { forwards: "" } }, MERGE),
    { status: 403, body: { message: /break-glass/ } },
    "an admin's hand needs break-glass",
  );
  const edit = async (text: string): Promise<void> => {
    const { status, body } = await breaker.ask("PATCH", url, { data: { "table.json": text } });
    t.equal(status, 200, JSON.stringify(body));
  };
  const good = (await api.read<{ data: Record<string, string> }>(url))?.data["table.json"] ?? "";
  for (const [at, host] of HOSTILE.entries()) {
    const evil = good.replace('"10.0.0.5"', JSON.stringify(host));
    t.not(evil, good);
    await edit(evil);
    // A target that is not in any cache: the table must be read.
    const { status, body } = await create(asking(`new${at}=10.0.1.${at}:1433`));
    t.equal(status, 409, JSON.stringify(host));
    t.match(body["message"], /table-invalid.*table\.json/);
    const kept = await api.read<{ data: Record<string, string> }>(url);
    t.equal(kept?.data["table.json"], evil, "the edited table is left to its editor");
    t.notMatch(kept?.data["forwards"], /touch|EXEC|reboot|`/, "and what the gateway reads has none of it");
  }
  await edit(good);
  await eventually(
    "the mended table is read",
    20_000,
    async () => (await create(asking("mended=10.0.2.1:1433"))).status === 201 || undefined,
  );
});

t.test("a hostile config does not come into force", async (t) => {
  for (const host of HOSTILE) {
    const forward = { name: "x", port: 5432, targetHost: host, targetPort: 5432 };
    const config = { gateways: [documentedGateway({ portForwards: [forward] })] };
    await api.ask(
      "PATCH",
      `/api/v1/namespaces/${RELEASE}/configmaps/${RELEASE}-config`,
      { data: { "config.yaml": JSON.stringify(config) } },
      MERGE,
    );
  }
  const before = cluster.kubelet.crashes.length;
  await kubectl([
    "delete",
    "pod",
    cluster.kubelet.logs.keys().next().value ?? "",
    "--wait=false",
    `--namespace=${RELEASE}`,
  ]);
  const said = await eventually(
    "the webhook's pod ends with an error",
    20_000,
    async () => cluster.kubelet.crashes.slice(before)[0],
  );
  t.match(said, /: 2 .*portForwards\[0\]\.targetHost/, "a pod that starts with it says what is wrong and ends");
  t.equal(hostIn((await create(asking("mssql=10.0.0.5:1433"))).body), HOST, "the other goes on with what it has");
});
