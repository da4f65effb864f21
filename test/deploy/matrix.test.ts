// A real API server accepts the chart's objects for many values, strictly: unknown and repeated fields are errors.
import t from "tap";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { applyCrds } from "../lab/kubelet/crds.ts";
import { CHART, findHelm, RELEASE, template } from "../lab/control-plane/helm.ts";

const controlPlane = await startControlPlane({ controllerManager: false });
t.teardown(controlPlane.stop);
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const helm = await findHelm(controlPlane.folder);
const listOf = (items: readonly object[]): string => JSON.stringify({ apiVersion: "v1", kind: "List", items });

const gateway = { name: "flowgen-wireguard-gateway", tunnels: [{ name: "wg0", secretName: "wireguard-client-a" }] };
const ca = `-----BEGIN CERTIFICATE-----\n${Buffer.from("not read by anybody").toString("base64")}\n-----END CERTIFICATE-----\n`;

const matrix: Readonly<Record<string, object>> = {
  defaults: {},
  "what no pod uses is removed": {
    reconcile: {
      enabled: true,
      dryRun: true,
      pushGateway: "http://pushgateway.monitoring.svc:9091",
      schedule: "@daily",
    },
    imagePullSecrets: [{ name: "registry" }],
    priorityClassName: "system-cluster-critical",
    nodeSelector: { disk: "ssd" },
    tolerations: [{ operator: "Exists" }],
    commonLabels: { team: "network" },
    extraEnv: [{ name: "HTTPS_PROXY", value: "http://proxy:3128" }],
  },
  "audit mode": { config: { mode: "audit" } },
  "fail open": { webhook: { failurePolicy: "Ignore" } },
  "fail open, only warn": {
    webhook: { failurePolicy: "Ignore" },
    policies: { unredirected: { validationActions: ["Warn", "Audit"] } },
    config: { podSelector: { matchLabels: { app: "flowgen", tier: "flows" } }, gateways: [gateway] },
    rbac: { namespaces: ["team-a"] },
  },
  "fail open, pods uncaught": {
    webhook: { failurePolicy: "Ignore" },
    policies: { marks: { enabled: false }, ownObjects: { enabled: false }, unredirected: { enabled: false } },
  },
  "cert-manager, a CA of its own": { tls: { mode: "certManager" } },
  "cert-manager, another's issuer": {
    tls: {
      mode: "certManager",
      certManager: { issuerRef: { name: "corp-ca", kind: "ClusterIssuer", group: "cert-manager.io" }, duration: "24h" },
    },
    webhook: { url: "https://203.0.113.7:8443/" },
  },
  "a certificate that is provided": {
    tls: { mode: "provided", provided: { secretName: "webhook-certificate", caBundle: ca } },
  },
  "a webhook outside the cluster": {
    webhook: { url: "https://webhook.example.com/", pathToken: "0123456789abcdef".repeat(2), timeoutSeconds: 5 },
    tls: { mode: "provided", provided: { secretName: "webhook-certificate" } },
    replicaCount: 0,
    podDisruptionBudget: { enabled: false },
  },
  "a path token of the webhook's own, and callers by address": {
    webhook: { ownPathToken: true },
    networkPolicy: { webhookFrom: [{ ipBlock: { cidr: "192.0.2.0/28" } }] },
  },
  "gateways in several namespaces and in the pods' own": {
    config: {
      defaultGateway: "one",
      gateways: [
        { ...gateway, name: "one", namespace: "flowgen-gateway" },
        { ...gateway, name: "two", namespace: "vpn" },
        { ...gateway, name: "three" },
      ],
    },
    rbac: { namespaces: ["team-a", "vpn"] },
    gatewayNamespaces: { labels: { team: "network" }, annotations: { owner: "network@example.com" } },
  },
  "namespaces, roles and account by others": {
    gatewayNamespaces: { create: false },
    rbac: { create: false },
    serviceAccount: { create: false, name: "webhook" },
  },
  "every list and map of the pod": {
    replicaCount: 3,
    image: { digest: `sha256:${"0".repeat(64)}`, pullPolicy: "Always" },
    imagePullSecrets: [{ name: "registry" }],
    fullnameOverride: "fgw",
    commonLabels: { team: "platform" },
    ports: { webhook: 8443, metrics: 8080 },
    drainSeconds: 0,
    logLevel: "debug",
    extraEnv: [{ name: "NODE_OPTIONS", value: "--max-old-space-size=128" }],
    podDisruptionBudget: { minAvailable: "50%" },
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: "kubernetes.io/hostname",
        whenUnsatisfiable: "DoNotSchedule",
        labelSelector: { matchLabels: { "app.kubernetes.io/name": "flowgen-gateway-webhook" } },
      },
    ],
    nodeSelector: { "kubernetes.io/os": "linux" },
    tolerations: [{ key: "dedicated", operator: "Exists", effect: "NoSchedule" }],
    affinity: { nodeAffinity: {} },
    priorityClassName: "system-cluster-critical",
    hostNetwork: true,
    podAnnotations: { a: "b" },
    podLabels: { c: "d" },
    serviceAccount: { annotations: { e: "f" }, labels: { g: "h" } },
    service: { type: "NodePort", annotations: { i: "j" }, labels: { k: "l" } },
    networkPolicy: {
      metricsFrom: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }],
      apiServerPorts: [443],
    },
    webhook: {
      namespaceSelector: {
        matchLabels: { flowgen: "yes" },
        matchExpressions: [{ key: "env", operator: "In", values: ["prod", "test"] }],
      },
    },
    livenessProbe: { initialDelaySeconds: 1 },
  },
  monitoring: {
    prometheus: {
      podmonitor: { enabled: true, interval: "15s", labels: { release: "prometheus" }, annotations: { a: "b" } },
      servicemonitor: { enabled: true, labels: { release: "prometheus" } },
      gatewaymonitor: { enabled: true, labels: { release: "prometheus" } },
      rules: { enabled: true, labels: { release: "prometheus" } },
    },
    grafana: { dashboard: { enabled: true, namespace: "vpn", annotations: { grafana_folder: "flowgen" } } },
  },
  "nothing that can be left out": {
    podDisruptionBudget: { enabled: false },
    networkPolicy: { enabled: false },
    policies: { marks: { enabled: false }, ownObjects: { enabled: false }, unredirected: { enabled: false } },
  },
};

await applyCrds(kubectl);
for (const namespace of ["flowgen-gateway-webhook", "flowgen-gateway", "team-a", "vpn"])
  await kubectl(["create", "namespace", namespace]);

t.test("helm lint finds nothing, in strict mode", async (t) => {
  t.match(await helm(["lint", "--strict", CHART]), { code: 0, stdout: /0 chart\(s\) failed/ });
});

for (const [name, values] of Object.entries(matrix)) {
  t.test(`values: ${name}`, async (t) => {
    const objects = await template(helm, values);
    const { code, stderr } = await controlPlane.kubectl(
      ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"],
      { input: listOf(objects) },
    );
    t.equal(code, 0, stderr);
    t.notMatch(stderr, /Warning/, "no deprecated API, no Pod Security complaint");
    for (const { kind, metadata } of objects) t.match(metadata.labels, { "app.kubernetes.io/instance": RELEASE }, kind);
  });
}

t.test("a webhook outside the cluster is called by its whole address", async (t) => {
  const objects = await template(helm, matrix["a webhook outside the cluster"] ?? {});
  t.match(
    objects.find(({ kind }) => kind === "MutatingWebhookConfiguration"),
    { webhooks: [{ clientConfig: { url: "https://webhook.example.com/mutate/0123456789abcdef0123456789abcdef" } }] },
  );
});

/** The role for users of `audit` and `check`, which is bound to no one. */
const isReader = ({ name }: { readonly name?: string | undefined }): boolean => name?.endsWith("-reader") === true;

t.test("the rights for a certificate of its own are absent with any other certificate", async (t) => {
  const registration = "mutatingwebhookconfigurations";
  const granted = async (tls: object): Promise<readonly unknown[]> => {
    const roles = (await template(helm, { tls })).filter(({ kind }) => /^(Cluster)?Role$/.test(kind));
    t.ok(roles.length > 0);
    return roles
      .filter(({ metadata }) => !isReader(metadata))
      .flatMap((role) => (role["rules"] as { resources: string[] }[]).flatMap(({ resources }) => resources));
  };
  const own = await granted({ mode: "self" });
  for (const each of ["secrets", registration]) t.ok(own.includes(each), `self: ${each}`);
  for (const tls of [{ mode: "certManager" }, { mode: "provided", provided: { secretName: "x" } }]) {
    const resources = await granted(tls);
    for (const each of ["secrets", registration]) t.notOk(resources.includes(each), `${tls.mode}: ${each}`);
  }
});

const refused: readonly (readonly [what: string, values: object, reason: RegExp])[] = [
  ["an unknown value", { replicas: 3 }, /additional properties 'replicas' not allowed/],
  ["an unknown key of a map", { image: { repo: "x" } }, /at '\/image': additional properties 'repo' not allowed/],
  ["an unknown key of the config", { config: { modes: "audit" } }, /at '\/config': additional properties 'modes'/],
  [
    "an unknown key of a tunnel",
    { config: { gateways: [{ tunnels: [{ name: "wg0", secretName: "s", allowedTarget: ["10.0.0.0/8"] }] }] } },
    /at '\/config\/gateways\/0\/tunnels\/0': additional properties 'allowedTarget' not allowed/,
  ],
  [
    "an unknown key of a gateway",
    { config: { gateways: [{ ...gateway, sockat: {} }] } },
    /'\/config\/gateways\/0': .*'sockat'/,
  ],
  [
    "too many forwards",
    { config: { gateways: [{ ...gateway, maxForwards: 99999 }] } },
    /at '\/config\/gateways\/0\/maxForwards': maximum/,
  ],
  ["a mode that is none", { config: { mode: "dry" } }, /at '\/config\/mode'/],
  ["a port that is none", { ports: { webhook: 99999 } }, /at '\/ports\/webhook': maximum/],
  ["plain http", { webhook: { url: "http://webhook.example.com" } }, /at '\/webhook\/url'/],
  [
    "a path token that is none",
    { webhook: { url: "https://a.example.com", pathToken: "x" } },
    /'\/webhook\/pathToken'/,
  ],
  [
    "a path token for pods that ask for none",
    { webhook: { url: "https://a.example.com", pathToken: "x".repeat(32) } },
    /webhook\.pathToken is for a webhook outside/,
  ],
  [
    "a path token without an admin who could set it",
    { webhook: { ownPathToken: true }, tls: { mode: "certManager" } },
    /webhook\.ownPathToken is made from the key of the webhook's own CA/,
  ],
  ["Deny and Warn", { policies: { unredirected: { validationActions: ["Deny", "Warn"] } } }, /validationActions/],
  ["no gateway", { config: { gateways: [] } }, /at '\/config\/gateways': minItems/],
  ["a certificate that is nowhere", { tls: { mode: "provided" } }, /tls\.provided\.secretName is missing: name/],
  ["no account", { serviceAccount: { create: false } }, /serviceAccount\.name is missing: name/],
  ["a namespace that nothing is for", { rbac: { namespaces: ["team-a"] } }, /rbac\.namespaces: team-a: it is for/],
];
for (const [what, values, reason] of refused) {
  t.test(`refused, with the reason: ${what}`, async (t) => {
    await t.rejects(template(helm, values), { message: reason });
  });
}
