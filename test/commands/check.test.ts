/**
 * `check` and `explain` over an API server in memory; test/cluster/check.test.ts has broken installations on a real
 * one.
 */
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { admit } from "../../src/admit.ts";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import type { Kind, KubeObject } from "../../src/cluster/cluster.ts";
import { checkCodes } from "../../src/checks/codes.ts";
import type { Finding } from "../../src/checks/finding.ts";
import { messages } from "../../src/checks/messages.ts";
import { runProgram } from "../../src/commands/program/program.ts";
import { reasons } from "../../src/core/reasons.ts";
import { version } from "../../src/files.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import { writeKubeconfig, listen, overMemory, reply, status } from "../cluster-port/loopback.ts";
import { setEnv } from "../environment.ts";
import { configOf, patched, podOf } from "../making.ts";

const NAME = "flowgen-gateway-webhook";
const GATEWAY = "flowgen-wireguard-gateway";
const SPACE = "flowgen-gateway";
const CONFIG = `gateways:
  - name: ${GATEWAY}
    namespace: ${SPACE}
    maxForwards: 10
    tunnels: [{name: wg0, secretName: wg, allowedTargets: [10.0.0.0/8]}]
`;
const signal = (): AbortSignal => AbortSignal.timeout(10_000);
const b64 = (text: string): string => Buffer.from(text).toString("base64");
const certificate = await makeServingCertificate(["a.svc"], 90, new Date());
const old = await makeServingCertificate(["a.svc"], 1, new Date(Date.now() - 5 * 86_400_000));

const API: Readonly<Record<string, string>> = {
  Deployment: "apps/v1",
  MutatingWebhookConfiguration: "admissionregistration.k8s.io/v1",
  ValidatingAdmissionPolicyBinding: "admissionregistration.k8s.io/v1",
  EndpointSlice: "discovery.k8s.io/v1",
  ReplicaSet: "apps/v1",
  Job: "batch/v1",
  NetworkPolicy: "networking.k8s.io/v1",
  CronJob: "batch/v1",
};
const object = (kind: Kind, namespace: string, name: string, rest: object = {}, more: object = {}): KubeObject => ({
  apiVersion: API[kind] ?? "v1",
  kind,
  metadata: { name, namespace, ...more },
  ...rest,
});
const registration = (more: object = {}, clientConfig: object = {}) =>
  object("MutatingWebhookConfiguration", "", NAME, {
    webhooks: [
      {
        name: "pods.flowgen.io",
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        clientConfig: {
          service: { name: NAME, namespace: NAME, path: "/mutate" },
          caBundle: b64(certificate.ca),
          ...clientConfig,
        },
        failurePolicy: "Fail",
        reinvocationPolicy: "IfNeeded",
        ...more,
      },
    ],
  });
const webhookDeployment = (image: string, ready: number, args: readonly string[] = []) =>
  object("Deployment", NAME, NAME, {
    spec: {
      template: {
        spec: {
          serviceAccountName: NAME,
          volumes: [{ name: "config", configMap: { name: `${NAME}-config` } }],
          containers: [{ name: "webhook", image, args }],
        },
      },
    },
    status: { readyReplicas: ready },
  });
const secret = (name: string, data: Readonly<Record<string, string>>, namespace = SPACE) =>
  object("Secret", namespace, name, { type: "Opaque", data });
const slice = (namespace: string, service: string, isReady: boolean) =>
  object(
    "EndpointSlice",
    namespace,
    `${service}-1`,
    { endpoints: [{ conditions: { ready: isReady } }] },
    { labels: { "kubernetes.io/service-name": service } },
  );
const POD_LABELS = {
  "app.kubernetes.io/name": "flowgen",
  "app.kubernetes.io/instance": GATEWAY,
  "app.kubernetes.io/component": "wireguard-gateway",
};
const WG = "[Interface]\nPrivateKey = c2VjcmV0\n";
/** The same key, as flowgen's documentation writes it. */
const DOCUMENTED = "[Interface]\nPrivateKey: c2VjcmV0\n";

type Trial = { readonly code: number; readonly message?: string; readonly warning?: string };
const ANSWERED: Trial = { code: 201, warning: "flowgen.io/private-targets does nothing: the pod lacks a=b" };

/** A cluster with a healthy installation whose webhook has admitted a pod. `config`: a file with its config. */
const startCluster = async (t: Test) => {
  const { memory, answer } = overMemory();
  let trial = ANSWERED;
  let serverVersion = "v1.34.1";
  let mayAll = true;
  const forbidden = new Set<string>();
  const server = await listen((request, response) => {
    const url = request.url ?? "";
    const [, plural = ""] = /\/(?:namespaces\/[^/]+\/)?([a-z]+)(?:\/[^/]*)?(?:\?.*)?$/.exec(url) ?? [];
    if (forbidden.has("*") || forbidden.has(plural))
      reply(response, 403, status(403, "Forbidden", `${plural} is forbidden: User "x" cannot do it`));
    else if (url === "/version") reply(response, 200, { gitVersion: serverVersion });
    else if (url.endsWith("subjectaccessreviews") || url.endsWith("selfsubjectaccessreviews"))
      reply(response, 201, { metadata: {}, status: { allowed: mayAll } });
    else if (url.includes("dryRun=All")) {
      const warning: Record<string, string> =
        trial.warning === undefined ? {} : { warning: `299 - "${trial.warning}"` };
      const body = trial.code < 300 ? { metadata: {} } : status(trial.code, "Invalid", trial.message ?? "");
      reply(response, trial.code, body, warning);
    } else if (url.includes(":65534/proxy/metrics")) reply(response, 200, metrics);
    else answer(request, response);
  });
  let metrics = "";
  t.teardown(server.close);
  const put = async (...objects: readonly KubeObject[]): Promise<void> => {
    for (const each of objects) {
      const { kind, metadata } = each;
      const ref = { kind, namespace: metadata.namespace, name: metadata.name ?? "" };
      memory.remove(ref);
      const { status: state, ...rest } = each as KubeObject & { readonly status?: unknown };
      await memory.create(rest, signal());
      if (state !== undefined) memory.edit("controller", ref, (there) => ({ ...there, status: state }));
    }
  };
  await put(
    object("Namespace", "", SPACE, {}, { labels: { "pod-security.kubernetes.io/enforce": "privileged" } }),
    object("Node", "", "node-1", { status: { nodeInfo: { kernelVersion: "6.1.0" } } }),
    registration(),
    webhookDeployment(`x/y:${version}`, 2),
    object("ConfigMap", NAME, `${NAME}-config`, { data: { "config.yaml": CONFIG } }),
    secret(`${NAME}-tls`, { "tls.crt": b64(certificate.cert) }, NAME),
    secret("wg", { "wg0.conf": b64(WG) }),
    ...["marks", "gateway-objects"].map((each) => object("ValidatingAdmissionPolicyBinding", "", `${NAME}-${each}`)),
    slice(NAME, NAME, true),
    slice(SPACE, GATEWAY, true),
  );
  const provision = createProvisioner(memory, { scripts: loadScripts() });
  const context = { config: configOf(CONFIG), provision, version };
  const pod = podOf("mssql=10.0.0.5:1433", { DB: "10.0.0.5:1433" });
  const { operations } = await admit({ pod, namespace: "team-a", dryRun: false, signal }, context);
  const gateway = { kind: "Deployment", namespace: SPACE, name: GATEWAY } as const;
  const setReady = (readyReplicas: number) =>
    memory.edit("kubelet", gateway, (there) => ({ ...there, status: { readyReplicas } }));
  setReady(1);
  const path = writeKubeconfig(t, { server: server.url, "insecure-skip-tls-verify": true });
  setEnv(t, { ...process.env, KUBECONFIG: path });
  const config = join(dirname(path), "config.yaml");
  writeFileSync(config, CONFIG);
  return {
    config,
    memory,
    put,
    operations,
    setReady,
    setTrial: (next: Trial) => (trial = next),
    setVersion: (next: string) => (serverVersion = next),
    setRights: (next: boolean) => (mayAll = next),
    setMetrics: (next: string) => (metrics = next),
    forbid: (...plurals: readonly string[]) => plurals.forEach((plural) => forbidden.add(plural)),
  };
};

const program = async (...args: readonly string[]) => {
  let [out, err] = ["", ""];
  const code = await runProgram(args, { out: (text) => void (out += text), err: (text) => void (err += text) });
  return { code, out, err };
};
const check = async (...args: readonly string[]) => {
  const { code, out, err } = await program("check", ...args, "-o", "json");
  if (out === "") throw new Error(err);
  return { code, findings: (JSON.parse(out) as { readonly findings: readonly Finding[] }).findings };
};
const faults = (findings: readonly Finding[]) =>
  findings.filter(({ level }) => level === "error" || level === "warning");

t.test("a healthy installation, in each format", async (t) => {
  await startCluster(t);
  const { code, findings } = await check();
  t.strictSame([code, faults(findings)], [0, []]);
  t.match(await program("check"), {
    code: 0,
    out: /^reach$[^]*√ MutatingWebhookConfiguration[^]*0 errors, 0 warnings/m,
  });
  t.match(await program("check", "-o", "short"), { code: 0, out: /^\? \/dev\/net\/tun[^]*\n0 errors/ });
});

type Cluster = Awaited<ReturnType<typeof startCluster>>;
const failing = (says: string): Trial => ({
  code: 500,
  message: `failed calling webhook "pods.flowgen.io": failed to call webhook: ${says}`,
});
/** The damage to the installation, and the code that is found. */
const BREAKS: Readonly<Record<string, readonly [code: string, damage: (cluster: Cluster) => unknown]>> = {
  "no registration": [
    "registration-missing",
    ({ memory }) => memory.remove({ kind: "MutatingWebhookConfiguration", namespace: "", name: NAME }),
  ],
  "no caBundle": ["ca-bundle-missing", ({ put }) => put(registration({}, { caBundle: "" }))],
  "another CA": [
    "certificate-untrusted",
    ({ setTrial }) => setTrial(failing("x509: certificate signed by unknown authority")),
  ],
  "another name": ["certificate-name", ({ setTrial }) => setTrial(failing("x509: certificate is valid for a, not b"))],
  "an old certificate": [
    "certificate-expired",
    ({ setTrial }) => setTrial(failing("x509: certificate has expired or is not yet valid")),
  ],
  "no Service": ["service-not-found", ({ setTrial }) => setTrial(failing('service "x" not found'))],
  "another caller": ["callers-refused", ({ setTrial }) => setTrial(failing("this caller presents none"))],
  "no way": ["not-reached", ({ setTrial }) => setTrial(failing("connect: connection refused"))],
  "no pod": [
    "no-endpoints",
    async ({ setTrial, put }) => {
      setTrial(failing("connect: connection refused"));
      await put(slice(NAME, NAME, false));
    },
  ],
  "a Deployment that is not ready": ["no-endpoints", ({ put }) => put(webhookDeployment(`x/y:${version}`, 0))],
  "a Deployment that was just made": [
    "no-endpoints",
    ({ put }) => put({ ...webhookDeployment(`x/y:${version}`, 0), status: {} }),
  ],
  "a wrong path": [
    "path-unknown",
    ({ setTrial }) => setTrial(failing("the server could not find the requested resource")),
  ],
  "an error of the webhook's": [
    "answer-unusable",
    ({ setTrial }) => setTrial(failing('an error on the server ("") has prevented the request from succeeding')),
  ],
  "another program": [
    "answer-unusable",
    ({ setTrial }) => setTrial(failing("http: server gave HTTP response to HTTPS client")),
  ],
  "a URL and no caBundle": [
    "ca-bundle-missing",
    async ({ setTrial, put }) => {
      setTrial(failing("x509: certificate signed by unknown authority"));
      await put(registration({}, { service: undefined, url: "https://a.example.com/mutate", caBundle: "" }));
    },
  ],
  "not asked": ["not-asked", ({ setTrial }) => setTrial({ code: 201 })],
  "a policy that is gone": [
    "policy-missing",
    ({ memory }) => memory.remove({ kind: "ValidatingAdmissionPolicyBinding", namespace: "", name: `${NAME}-marks` }),
  ],
  "a later webhook": [
    "reinvocation-never",
    async ({ put }) => {
      const [own] = registration()["webhooks"] as readonly object[];
      const rules = [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }];
      await put(
        registration({ reinvocationPolicy: "Never" }),
        object("MutatingWebhookConfiguration", "", "istio", { webhooks: [{ ...own, rules }] }),
      );
    },
  ],
  "an open door": ["fails-open", ({ put }) => put(registration({ failurePolicy: "Ignore" }))],
  "another version": ["version-differs", ({ put }) => put(webhookDeployment("x/y:9.9.9", 2, ["--client-ca=x"]))],
  "an old cluster": ["kubernetes-old", ({ setVersion }) => setVersion("v1.29.0")],
  "an old node": [
    "kernel-old",
    ({ put }) => put(object("Node", "", "old", { status: { nodeInfo: { kernelVersion: "4.18.0-x" } } })),
  ],
  "a node just too old": [
    "kernel-old",
    ({ put }) => put(object("Node", "", "old", { status: { nodeInfo: { kernelVersion: "5.4.0-x" } } })),
  ],
  "no rights": ["right-of-webhook", ({ setRights }) => setRights(false)],
  "no config": [
    "config-missing",
    ({ memory }) => memory.remove({ kind: "ConfigMap", namespace: NAME, name: `${NAME}-config` }),
  ],
  "a config that is not valid": [
    "config-invalid",
    ({ put }) => put(object("ConfigMap", NAME, `${NAME}-config`, { data: { "config.yaml": "mode: x" } })),
  ],
  "no namespace": [
    "namespace-missing",
    ({ memory }) => memory.remove({ kind: "Namespace", namespace: "", name: SPACE }),
  ],
  "Pod Security": [
    "pod-security",
    ({ put }) =>
      put(object("Namespace", "", SPACE, {}, { labels: { "pod-security.kubernetes.io/enforce": "baseline" } })),
  ],
  "no Secret": ["secret-missing", ({ memory }) => memory.remove({ kind: "Secret", namespace: SPACE, name: "wg" })],
  "another key": ["secret-key-missing", ({ put }) => put(secret("wg", { a: b64(WG) }))],
  "a Secret without a key": ["secret-key-missing", ({ put }) => put(object("Secret", SPACE, "wg"))],
  "an empty Secret": ["secret-unread", ({ put }) => put(secret("wg", { "wg0.conf": "" }))],
  "a Secret of another kind": ["secret-unread", ({ put }) => put(secret("wg", { "wg0.conf": b64("hello\n") }))],
  "a table that is gone": [
    "table-lost",
    ({ memory }) => memory.remove({ kind: "ConfigMap", namespace: SPACE, name: `${GATEWAY}-forwards` }),
  ],
  "a NetworkPolicy that is gone": [
    "policy-lost",
    ({ memory }) => memory.remove({ kind: "NetworkPolicy", namespace: SPACE, name: GATEWAY }),
  ],
  "an expired Secret": [
    "certificate-expired",
    ({ put }) => put(secret(`${NAME}-tls`, { "tls.crt": b64(old.cert) }, NAME)),
  ],
  "a table that cannot be read": [
    "table-invalid",
    ({ memory }) =>
      memory.edit("x", { kind: "ConfigMap", namespace: SPACE, name: `${GATEWAY}-forwards` }, (there) => ({
        ...there,
        data: { "table.json": "{" },
      })),
  ],
  "a table of a newer version": [
    "format-newer",
    ({ memory }) =>
      memory.edit("x", { kind: "ConfigMap", namespace: SPACE, name: `${GATEWAY}-forwards` }, (there) => ({
        ...there,
        data: { "table.json": '{"version": 99}' },
      })),
  ],
  "a table without its key": [
    "table-invalid",
    ({ memory }) =>
      memory.edit("x", { kind: "ConfigMap", namespace: SPACE, name: `${GATEWAY}-forwards` }, (there) => ({
        ...there,
        data: {},
      })),
  ],
  "a table of another owner": [
    "object-unmanaged",
    ({ memory }) =>
      memory.edit("x", { kind: "ConfigMap", namespace: SPACE, name: `${GATEWAY}-forwards` }, (there) => ({
        ...there,
        metadata: { ...there.metadata, labels: {} },
      })),
  ],
  "no Deployment": [
    "gateway-missing",
    ({ memory }) => memory.remove({ kind: "Deployment", namespace: SPACE, name: GATEWAY }),
  ],
  "a gateway that is down": ["gateway-down", ({ setReady }) => setReady(0)],
  "a Service that is gone": [
    "service-lost",
    ({ memory }) => memory.remove({ kind: "Service", namespace: SPACE, name: GATEWAY }),
  ],
  "a Service with another port": [
    "service-port-lost",
    ({ memory }) =>
      memory.edit("x", { kind: "Service", namespace: SPACE, name: GATEWAY }, (there) => ({
        ...there,
        spec: { ...(there["spec"] as object), ports: [{ name: "a", port: 5, targetPort: 5, protocol: "TCP" }] },
      })),
  ],
  "a Service without a pod": ["service-without-pod", ({ put }) => put(slice(SPACE, GATEWAY, false))],
  "an orphan": [
    "gateway-orphan",
    ({ put }) => put(object("Deployment", "elsewhere", "gw", {}, { labels: { "app.kubernetes.io/managed-by": NAME } })),
  ],
};
for (const [title, [code, damage]] of Object.entries(BREAKS)) {
  t.test(title, async (t) => {
    const cluster = await startCluster(t);
    await damage(cluster);
    const { findings, code: exit } = await check();
    const found = findings.find((each) => each.code === code);
    t.ok(found, JSON.stringify(faults(findings)));
    t.ok(found?.fix);
    t.equal(exit, faults(findings).some(({ level }) => level === "error") ? 1 : 0);
    if (found?.level === "warning") t.equal((await check("--fail-on", "warning")).code, 1);
  });
}

t.test("the field of the registration that leaves the pod out", async (t) => {
  const { put, setTrial } = await startCluster(t);
  setTrial({ code: 201 });
  const causeWith = async (more: object): Promise<string> => {
    await put(registration(more));
    return (await check()).findings.find((each) => each.code === "not-asked")?.cause ?? "";
  };
  const rules = [{ apiGroups: [""], operations: ["CREATE"], resources: ["pods"] }];
  const name = "kubernetes.io/metadata.name";
  t.match(await causeWith({ rules }), /^an annotated pod passed/, "nothing that can be seen");
  t.match(await causeWith({ rules: [{ ...rules[0], operations: ["UPDATE"] }] }), /^its rules have no CREATE of pods:/);
  t.match(
    await causeWith({ rules: [{ ...rules[0], resources: ["configmaps"] }] }),
    /^its rules have no CREATE of pods:/,
  );
  t.match(
    await causeWith({ rules, objectSelector: { matchLabels: { a: "b" } } }),
    /^its objectSelector asks for labels:/,
  );
  t.match(
    await causeWith({
      rules,
      namespaceSelector: { matchExpressions: [{ key: name, operator: "NotIn", values: ["default"] }] },
    }),
    /^its namespaceSelector leaves out default:/,
  );
  t.match(
    await causeWith({ rules, namespaceSelector: { matchExpressions: [{ key: name, operator: "In", values: ["a"] }] } }),
    /^its namespaceSelector leaves out default:/,
  );
  t.match(
    await causeWith({
      rules,
      namespaceSelector: { matchExpressions: [{ key: name, operator: "NotIn", values: ["a"] }] },
    }),
    /^an annotated pod passed/,
  );
  t.match(
    await causeWith({ rules, namespaceSelector: { matchLabels: { a: "b" } } }),
    /^its namespaceSelector asks for labels of the/,
  );
  t.match(
    await causeWith({ rules, matchConditions: [{ name: "never", expression: "false" }] }),
    /^its matchCondition never does not ask for flowgen\.io\/private-targets:/,
  );
  t.match(await causeWith({ rules, failurePolicy: "Ignore" }), /^its failurePolicy is Ignore:/);
});

t.test("a command to paste, with the names of what is broken", async (t) => {
  const runOf = async (title: string): Promise<string> => {
    const cluster = await startCluster(t);
    const [code = "", damage] = BREAKS[title] ?? [];
    await damage?.(cluster);
    return (await check()).findings.find((each) => each.code === code)?.run ?? "";
  };
  const at = `--namespace ${NAME}`;
  const inGateway = `--namespace ${SPACE}`;
  const write = `kubectl create secret generic wg ${inGateway} --from-file=wg0.conf --dry-run=client -o yaml | kubectl apply -f -`;
  const upgrade = "kubectl apply -k YOUR-OVERLAY";
  const wanted = {
    "no Secret": write,
    "another key": write,
    "an empty Secret": write,
    "Pod Security": `kubectl label namespace ${SPACE} pod-security.kubernetes.io/enforce=privileged --overwrite`,
    "no registration": upgrade,
    "a policy that is gone": upgrade,
    "no rights": upgrade,
    "another CA": `kubectl rollout restart deployment/${NAME} ${at}`,
    "a Deployment that is not ready": `kubectl logs deployment/${NAME} ${at} --tail=50`,
    "a Service that is gone": `kubectl logs deployment/${NAME} ${at} --tail=50`,
    "a URL and no caBundle": `kubectl rollout restart deployment/${NAME} ${at}`,
  };
  for (const [title, run] of Object.entries(wanted)) t.equal(await runOf(title), run, title);
  const cluster = await startCluster(t);
  cluster.setReady(0);
  await cluster.put(object("Pod", SPACE, `${GATEWAY}-1-2`, { spec: {} }, { labels: POD_LABELS }));
  t.match(await program("check"), {
    out: new RegExp(`    run: kubectl logs deployment/${GATEWAY} ${inGateway} --all-containers --tail=50\n    see `),
  });
  t.match(await program("explain", "secret-missing"), { out: /\n {2}run: {3}kubectl create secret generic NAME/ });
});

t.test("a finding stands once: alone it is not repeated", async (t) => {
  const cluster = await startCluster(t);
  await cluster.put(secret("wg", {}));
  t.notMatch((await program("check")).out, /mend this first/);
  cluster.memory.remove({ kind: "NetworkPolicy", namespace: SPACE, name: GATEWAY });
  t.match((await program("check")).out, /mend this first:\n× secret-key-missing/);
});

t.test("an installation of another name is named", async (t) => {
  await startCluster(t);
  const { findings } = await check("--install-name", "other");
  t.match(
    findings.find(({ code }) => code === "registration-missing"),
    { cause: new RegExp(`^there is one for --install-name ${NAME} --install-namespace ${NAME}: `) },
  );
});

t.test("the webhook's own rights: its registration, its Secret, Events", async (t) => {
  const { put, setRights } = await startCluster(t);
  await put(webhookDeployment(`x/y:${version}`, 2, [`--tls-secret=${NAME}-tls`, "--workload-events"]));
  setRights(false);
  const cause = (await check()).findings.find(({ code }) => code === "right-of-webhook")?.cause ?? "";
  for (const right of [
    `get, patch mutatingwebhookconfigurations.admissionregistration.k8s.io ${NAME};`,
    `get, create, patch secrets ${NAME}-tls in ${NAME};`,
    "create events;",
    `get, create, patch configmaps ${GATEWAY}-forwards, ${GATEWAY}-scripts in ${SPACE};`,
  ])
    t.ok(cause.includes(right), `${right} in ${cause}`);
});

t.test("of a gateway: as full as it is, and why its pod is not ready", async (t) => {
  const { put, setReady, memory } = await startCluster(t);
  const full = (max: number) =>
    object("ConfigMap", NAME, `${NAME}-config`, { data: { "config.yaml": CONFIG.replace("10\n", `${max}\n`) } });
  const causeOf = async (code: string) => (await check()).findings.find((each) => each.code === code)?.cause;
  await put(full(1));
  t.match(await causeOf("forwards-full"), /^1 of 1 forwards/);
  await put(full(10));
  const table = { kind: "ConfigMap", namespace: SPACE, name: `${GATEWAY}-forwards` } as const;
  const forward = {
    name: "a",
    tunnel: "wg0",
    targetHost: "10.0.0.5",
    targetPort: 1433,
    listenPort: 1433,
    servicePort: 1433,
  };
  const forwards = Array.from({ length: 8 }, (_, index) => ({
    ...forward,
    ...(index > 0 && {
      name: `a${index}`,
      targetPort: 2000 + index,
      listenPort: 2000 + index,
      servicePort: 2000 + index,
    }),
  }));
  memory.edit("x", table, (there) => ({ ...there, data: { "table.json": JSON.stringify({ version: 1, forwards }) } }));
  t.match(await causeOf("forwards-nearly-full"), /^8 of 10 forwards/);

  setReady(0);
  t.match(await causeOf("gateway-down"), /^it has no pod/);
  memory.edit("x", { kind: "Deployment", namespace: SPACE, name: GATEWAY }, (there) => ({
    ...there,
    status: { conditions: [{ type: "ReplicaFailure", status: "True", message: "violates PodSecurity" }] },
  }));
  t.match(await causeOf("gateway-down"), /^violates PodSecurity/);
  const labels = POD_LABELS;
  const waits = (state: object) =>
    object("Pod", SPACE, "gw-1", { spec: {}, status: { phase: "Pending", ...state } }, { labels });
  await put(waits({}));
  t.match(await causeOf("gateway-down"), /^phase Pending/);
  const container = { name: "wireguard", ready: false };
  await put(
    waits({
      containerStatuses: [{ ...container, state: { waiting: { reason: "CrashLoopBackOff", message: "no device" } } }],
    }),
  );
  t.match(await causeOf("gateway-down"), /^container wireguard: CrashLoopBackOff: no device/);
  await put(waits({ initContainerStatuses: [{ ...container, state: { terminated: { reason: "Error" } } }] }));
  t.match(await causeOf("gateway-down"), /^container wireguard: Error/);
  memory.edit("x", { kind: "Deployment", namespace: SPACE, name: GATEWAY }, (there) => ({
    ...there,
    metadata: { ...there.metadata, labels: {} },
  }));
  t.match(await causeOf("object-unmanaged"), /lacks the label/);
});

t.test("the age of a handshake, and the last connect, by the gateway's own metrics", async (t) => {
  const { put, setMetrics } = await startCluster(t);
  const labels = POD_LABELS;
  const ports = [{ name: "metrics", containerPort: 65_534 }];
  const state = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
  await put(
    object(
      "Pod",
      SPACE,
      "gw-1",
      { spec: { containers: [{ name: "port-forward", ports }] }, status: state },
      { labels },
    ),
  );
  await put(deployment(), object("Pod", "team-a", "p", { spec: template.spec }, { labels: template.metadata.labels }));
  const now = Math.floor(Date.now() / 1000);
  const sample = (name: string, of: string, value: number): string =>
    `flowgen_gateway_${name}{gateway="g/gw",${of}} ${value}\n`;
  const handshake = (value: number, isUp = false): string =>
    sample("tunnel_latest_handshake_timestamp_seconds", 'tunnel="wg0",peer="1"', value) +
    sample("tunnel_peer_info", 'tunnel="wg0",peer="1",address="192.0.2.1:51820"', 1) +
    sample("tunnel_up", 'tunnel="wg0"', isUp ? 1 : 0);
  const target = 'tunnel="wg0",target="10.0.0.5:1433",port="1433"';
  const found = async (...args: readonly string[]) => (await check(...args)).findings;
  setMetrics(handshake(now - 20, true) + sample("forward_last_use_timestamp_seconds", target, now - 7300));
  t.ok((await found()).some(({ level, cause }) => level === "ok" && /^last handshake \d+ s ago$/.test(cause)));
  t.ok((await found("deploy/orders", "-n", "team-a")).some(({ cause }) => cause === "last connect 2 h ago"));
  setMetrics(handshake(now - 610) + sample("forward_refuses", `${target},reason="tunnel"`, 1));
  t.match(faults(await found()), [
    { code: "tunnel-silent", object: /^tunnel wg0/, cause: /^192.0.2.1:51820, last handshake 10 min ago/ },
  ]);
  t.equal(faults(await found()).length, 1, "that the forward refuses follows from it");
  setMetrics(handshake(0) + sample("forward_last_use_timestamp_seconds", target, 0));
  t.match(faults(await found()), [{ code: "tunnel-unanswered", cause: /^no handshake with 192.0.2.1/ }]);
  t.ok((await found("deploy/orders", "-n", "team-a")).some(({ cause }) => cause.startsWith("no connection")));
});

t.test("a webhook whose image cannot be pulled, and a gateway whose pod runs and is not ready", async (t) => {
  const { put, memory, setReady, setMetrics } = await startCluster(t);
  const labels = { app: "webhook" };
  const down = webhookDeployment(`x/y:${version}`, 0) as KubeObject & { readonly spec: object };
  const state = { waiting: { reason: "ErrImagePull", message: "x/y: not found" } };
  const unpulled = { phase: "Pending", containerStatuses: [{ name: "webhook", ready: false, state }] };
  await put(
    { ...down, spec: { ...down.spec, selector: { matchLabels: labels } } },
    object("Pod", NAME, "webhook-1", { spec: {}, status: unpulled }, { labels }),
    slice(NAME, NAME, false),
  );
  const { out } = await program("check");
  t.match(out, /\n× image-unpulled: Deployment [^ ]+: container webhook: ErrImagePull: x\/y: not found/);
  t.notMatch(out, "no-endpoints", "that follows from it");
  memory.remove({ kind: "Pod", namespace: NAME, name: "webhook-1" });
  t.match((await check()).findings.find(({ code }) => code === "no-endpoints")?.object, "Deployment");

  setReady(0);
  const running = { name: "wireguard", ready: false, state: { running: {} } };
  const ports = [{ name: "metrics", containerPort: 65_534 }];
  const spec = { containers: [{ name: "port-forward", ports }] };
  const gatewayLabels = {
    ...{ "app.kubernetes.io/name": "flowgen", "app.kubernetes.io/instance": GATEWAY },
    "app.kubernetes.io/component": "wireguard-gateway",
  };
  await put(
    object("Pod", SPACE, "gw-1", { spec, status: { phase: "Running", containerStatuses: [running] } }, { labels: gatewayLabels }), // prettier-ignore
    slice(SPACE, GATEWAY, false),
  );
  const ofGateway = async () => faults((await check()).findings).filter(({ section }) => section === "gateway");
  const sample = (name: string, of: string, value: number): string =>
    `flowgen_gateway_${name}{gateway="g/gw",tunnel="wg0"${of}} ${value}\n`;
  setMetrics(sample("tunnel_up", "", 0) + sample("tunnel_latest_handshake_timestamp_seconds", ',peer="1"', 0));
  t.match(
    await ofGateway(),
    [{ code: "endpoint-unresolved" }],
    "the tunnel is the cause, the pod and the Service follow",
  );
  t.equal((await ofGateway()).length, 1);
  setMetrics(sample("tunnel_up", "", 1) + sample("tunnel_latest_handshake_timestamp_seconds", ',peer="1"', 1));
  t.match(await ofGateway(), [{ code: "gateway-down", cause: /^its containers run: / }]);
});

t.test("two tunnels with one key, and a gateway that is not made yet", async (t) => {
  const { put, memory } = await startCluster(t);
  const two = CONFIG.replace("}]", "}, {name: wg1, secretName: wg-2, allowedTargets: [10.0.0.0/8]}]");
  await put(
    object("ConfigMap", NAME, `${NAME}-config`, { data: { "config.yaml": two } }),
    secret("wg-2", { "wg1.conf": b64(DOCUMENTED) }),
  );
  const { findings } = await check();
  t.match(
    findings.find((each) => each.code === "identity-twice"),
    { object: /wg-2, key wg1.conf/, cause: /wg, key wg0.conf/ },
  );
  t.notMatch(JSON.stringify(findings), "c2VjcmV0", "no key is shown");
  memory.remove({ kind: "ConfigMap", namespace: SPACE, name: `${GATEWAY}-forwards` });
  memory.remove({ kind: "Deployment", namespace: SPACE, name: GATEWAY });
  t.ok((await check()).findings.some(({ cause }) => cause.startsWith("not made yet")));
});

t.test("each kind that may not be read is named, and the others are looked at", async (t) => {
  const kinds = [
    "secrets",
    "services",
    "endpointslices",
    "deployments",
    "nodes",
    "namespaces",
    "networkpolicies",
    "pods",
  ];
  for (const plural of [...kinds, "mutatingwebhookconfigurations", "validatingadmissionpolicybindings"]) {
    await t.test(plural, async (t) => {
      const { forbid, put } = await startCluster(t);
      await put(
        deployment(),
        object("Pod", "team-a", "p", { spec: template.spec }, { labels: template.metadata.labels }),
      );
      forbid(plural);
      const all = [...(await check()).findings, ...(await check("deploy/orders", "-n", "team-a")).findings];
      const isNamed = all.some(({ level, cause }) => level === "unseen" && cause.includes(`${plural} is forbidden`));
      t.equal(isNamed, plural !== "endpointslices");
      t.ok(all.some(({ level }) => level === "ok"));
    });
  }
});

t.test("with a config of a file, where ConfigMaps may not be read", async (t) => {
  const { forbid, config } = await startCluster(t);
  forbid("configmaps");
  const { code, findings } = await check("--config", config);
  t.strictSame([code, faults(findings)], [0, []]);
  t.match(
    findings.find(({ object: about }) => about === `ConfigMap ${SPACE}/${GATEWAY}-forwards`),
    { level: "unseen", cause: /configmaps is forbidden/ },
  );
  t.ok(findings.some(({ level, object: about }) => level === "ok" && about === `Secret ${SPACE}/wg`));
});

t.test("in order: no Pod Security label, a node just new enough", async (t) => {
  const { put } = await startCluster(t);
  await put(
    object("Namespace", "", SPACE),
    object("Node", "", "node-1", { status: { nodeInfo: { kernelVersion: "5.6.0" } } }),
  );
  t.strictSame(faults((await check()).findings), []);
});

t.test("a gateway that was moved, or is disabled, may hold the identity of the config's", async (t) => {
  const { put, memory } = await startCluster(t);
  const label = { labels: { "app.kubernetes.io/managed-by": NAME } };
  const own = await memory.get({ kind: "Deployment", namespace: SPACE, name: GATEWAY }, signal());
  await put(object("Deployment", "elsewhere", "gw", { spec: own?.["spec"] }, label));
  const orphan = (await check()).findings.find(({ code }) => code === "gateway-orphan");
  t.match(orphan, { object: "Deployment elsewhere/gw", cause: /mounts a Secret of the name that .* mounts/ });
});

t.test("a gateway in each namespace is an orphan in none", async (t) => {
  const { put } = await startCluster(t);
  const label = { labels: { "app.kubernetes.io/managed-by": NAME } };
  const everywhere = CONFIG.replace(`    namespace: ${SPACE}\n`, "");
  await put(
    object("ConfigMap", NAME, `${NAME}-config`, { data: { "config.yaml": everywhere } }),
    object("Deployment", "team-a", GATEWAY, {}, label),
    object("Deployment", "team-a", "other", {}, label),
  );
  const orphans = (await check()).findings.filter(({ code }) => code === "gateway-orphan");
  t.match(orphans, [{ object: "Deployment team-a/other" }]);
  t.equal(orphans.length, 1);
});

t.test("a webhook that runs elsewhere, and certificates that end soon or cannot be read", async (t) => {
  const { put, memory, setTrial } = await startCluster(t);
  const found = async () => (await check()).findings;
  const late = await makeServingCertificate(["a.svc"], 10, new Date(Date.now() - 9 * 86_400_000));
  await put(secret(`${NAME}-tls`, { "tls.crt": b64(late.cert) }, NAME));
  t.match(
    (await found()).find((each) => each.code === "certificate-ends"),
    { level: "warning" },
  );
  await put(secret(`${NAME}-tls`, { "tls.crt": "" }, NAME));
  t.ok((await found()).some(({ cause }) => cause.startsWith("tls.crt holds no certificate")));
  memory.remove({ kind: "Secret", namespace: NAME, name: `${NAME}-tls` });
  memory.remove({ kind: "Deployment", namespace: NAME, name: NAME });
  await put(registration({ clientConfig: { url: "https://webhook.example.com/mutate/token" } }));
  const all = await found();
  t.strictSame(faults(all), []);
  t.ok(
    all.some(({ cause }) => cause === "calls https://webhook.example.com/mutate"),
    "without the token",
  );
  setTrial({ code: 403, message: "exceeded quota" });
  t.ok((await found()).some(({ cause }) => cause.includes("refused before the webhook could answer")));
  setTrial({ code: 403, message: 'pods is forbidden: User "x" cannot create' });
  t.ok(
    (await found()).some(({ cause }) =>
      cause.startsWith("whether the API server reaches the webhook: pods is forbidden"),
    ),
  );
  setTrial({ code: 422, message: 'admission webhook "pods.flowgen.io" denied the request: annotation-invalid' });
  t.strictSame(faults(await found()), []);
});

t.test("a user without rights, and a cluster that does not answer", async (t) => {
  const { forbid } = await startCluster(t);
  forbid("*");
  const { code, findings } = await check();
  t.strictSame([code, faults(findings)], [0, []]);
  t.ok(findings.length > 5 && findings.every(({ level }) => level === "unseen"));
  t.match(await program("check", "pod/x"), { code: 0, out: /\? config/ });
  setEnv(t, { ...process.env, KUBECONFIG: writeKubeconfig(t, { server: "https://127.0.0.1:1" }) });
  const silence = { code: 2, out: "", err: /the API server does not answer: .*ECONNREFUSED/ };
  for (const args of [[], ["--pre"], ["pod/x"]]) t.match(await program("check", ...args), silence);
  setEnv(t, { ...process.env, KUBECONFIG: "/nowhere" });
  t.match(await program("check"), { code: 2, err: /--cluster kubeconfig: .*KUBECONFIG/ });
});

t.test("before an installation", async (t) => {
  const { setRights, memory } = await startCluster(t);
  t.match(
    (await check("--pre")).findings.find((each) => each.code === "installed-already"),
    { level: "warning" },
  );
  memory.remove({ kind: "MutatingWebhookConfiguration", namespace: "", name: NAME });
  t.strictSame(faults((await check("--pre")).findings), []);
  setRights(false);
  t.match(faults((await check("--pre")).findings), [{ code: "right-to-install", cause: /create namespaces/ }]);
});

t.test("before an installation, with its config", async (t) => {
  const { memory, forbid, config } = await startCluster(t);
  const found = async () => faults((await check("--pre", "--config", config)).findings).map((each) => each.code);
  memory.remove({ kind: "MutatingWebhookConfiguration", namespace: "", name: NAME });
  memory.remove({ kind: "Secret", namespace: SPACE, name: "wg" });
  t.strictSame(await found(), ["secret-missing"]);
  memory.remove({ kind: "Namespace", namespace: "", name: SPACE });
  t.strictSame(await found(), [], "the chart makes the namespace");
  writeFileSync(config, "mode: x\n");
  t.strictSame(await found(), ["config-invalid", "config-invalid"]);
  forbid("*");
  const { code, findings } = await check("--pre");
  t.equal(code, 0);
  t.ok(findings.every(({ level }) => level === "unseen"));
  t.match(
    findings.find(({ object: about }) => about === "you"),
    { cause: /^its rights: .*is forbidden/ },
  );
  t.ok(findings.some(({ object: about }) => about === `MutatingWebhookConfiguration ${NAME}`));
});

t.test("a config", async (t) => {
  const folder = t.testdir({
    "good.yaml": CONFIG,
    "open.yaml": CONFIG.replace("10.0.0.0/8", "0.0.0.0/0"),
    "shut.yaml": CONFIG.replace("10.0.0.0/8", ""),
    "twice.yaml": `${CONFIG}  - name: b\n    namespace: ${SPACE}\n    tunnels: [{name: wg0, secretName: wg, allowedTargets: [10.0.0.1]}]\n`,
    "bad.yaml": "mode: x\n",
  });
  const found = async (name: string) =>
    faults((await check("config", join(folder, name))).findings).map((each) => each.code);
  t.strictSame(await found("good.yaml"), []);
  t.strictSame(await found("open.yaml"), ["tunnel-allows-all"]);
  t.strictSame(await found("shut.yaml"), ["tunnel-allows-nothing"]);
  t.strictSame(await found("twice.yaml"), ["config-invalid"]);
  t.strictSame(await found("bad.yaml"), ["config-invalid", "config-invalid"]);
  t.match(await program("check", "config", "/nowhere"), { code: 2 });
  t.match(await program("check", "config", "--config", join(folder, "open.yaml")), {
    code: 0,
    out: /^‼ tunnel-allows-all: [^]*\n {4}fix: .+\n {4}run: .+open\.yaml\n {4}see https:.+\n[^]*0 errors, 1 warning,/m,
  });
});

const template = {
  metadata: podOf("mssql=10.0.0.5:1433").metadata,
  spec: { containers: [{ name: "app", env: [{ name: "DB", value: "10.0.0.5:1433" }] }] },
};
const deployment = (more: object = {}, metadata = template.metadata) =>
  object("Deployment", "team-a", "orders", {
    spec: { selector: { matchLabels: { app: "flowgen" } }, template: { ...template, metadata } },
    ...more,
  });

t.test("a workload", async (t) => {
  const cluster = await startCluster(t);
  const { put, memory } = cluster;
  const found = async (name = "deploy/orders") =>
    faults((await check(name, "-n", "team-a")).findings).map((each) => each.code);
  t.strictSame(await found(), ["workload-missing"]);
  await put(deployment());
  t.strictSame(await found(), ["workload-without-pod"]);
  const owned = { ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name: "orders", uid: "u" }] };
  const failure = { status: { conditions: [{ type: "ReplicaFailure", status: "True", message: "quota" }] } };
  await put(object("ReplicaSet", "team-a", "orders-1", failure, owned));
  t.match(
    (await check("deploy/orders", "-n", "team-a")).findings.find((each) => each.code === "workload-without-pod"),
    { cause: /^quota/ },
  );

  const bare = object("Pod", "team-a", "orders-1", { spec: template.spec }, { labels: template.metadata.labels });
  await put(bare);
  t.strictSame(await found(), ["pod-not-redirected"]);
  const { metadata } = template;
  await put(
    object(
      "Pod",
      "team-a",
      "orders-1",
      { spec: template.spec, status: { phase: "Running" } },
      marksOf(cluster, metadata),
    ),
  );
  t.strictSame(await found(), []);
  await put(object("Pod", "team-a", "orders-1", { spec: template.spec }, marksOf(cluster, metadata, ":1433", ":9")));
  t.strictSame(await found(), ["pod-outdated"]);
  const newer = marksOf(cluster, metadata, '\\"format\\":2', '\\"format\\":99');
  await put(object("Pod", "team-a", "orders-1", { spec: template.spec }, newer));
  t.strictSame(await found(), ["pod-outdated"], "its status is of a newer version");
  await put(
    object(
      "Pod",
      "team-a",
      "orders-1",
      { spec: template.spec },
      marksOf(cluster, metadata, "target.flowgen.io/mssql", "x"),
    ),
  );
  t.strictSame(await found(), ["network-policy"]);
  memory.remove({ kind: "NetworkPolicy", namespace: SPACE, name: GATEWAY });
  t.strictSame(await found(), ["policy-lost"]);
  const managed = { labels: { "app.kubernetes.io/managed-by": NAME } };
  await put(object("NetworkPolicy", SPACE, GATEWAY, { spec: { podSelector: {}, ingress: [{}] } }, managed));
  t.strictSame(await found(), []);
  await put(object("Pod", "team-a", "bare", { spec: template.spec }, { labels: { app: "x" } }));
  t.strictSame(await found("pod/bare"), ["workload-unannotated"]);

  await put(deployment({}, { labels: template.metadata.labels, annotations: { "flowgen.io/private-target": "x" } }));
  t.strictSame(await found(), ["near-miss"], "and not also that nothing is asked for");
  await put(deployment({}, podOf("a=9.9.9.9:1").metadata));
  t.strictSame(await found(), ["target-not-allowed"]);
  await put(deployment({}, podOf("a=10.0.0.5:1", {}, { "flowgen.io/mode": "audit" }).metadata));
  t.strictSame(await found(), ["audit-mode"]);
  await put(deployment({}, podOf("a=10.0.0.5:1", {}, { "flowgen.io/mode": "disabled" }).metadata));
  t.strictSame(await found(), ["disabled"]);
  const refused = podOf("a=9.9.9.9:1", {}, { "flowgen.io/mode": "audit" });
  await put(deployment({}, refused.metadata));
  t.match(faults((await check("deploy/orders", "-n", "team-a")).findings), [
    { code: "audit-mode" },
    { level: "warning", code: "target-not-allowed", cause: /9\.9\.9\.9:1/, docs: /reasons\.md#reject$/ },
  ]);
  await put(object("Pod", "team-a", "empty", { spec: {} }));
  t.match((await check("pod/empty", "-n", "team-a")).findings, [
    { level: "unseen", object: "Pod team-a/empty", cause: "it has no pod template that can be read" },
  ]);
});

t.test("a workload of a gateway whose table is gone", async (t) => {
  const { put, memory } = await startCluster(t);
  await put(deployment());
  memory.remove({ kind: "ConfigMap", namespace: SPACE, name: `${GATEWAY}-forwards` });
  t.match(
    (await check("deploy/orders", "-n", "team-a")).findings.find(({ object: about }) => about.startsWith("Network")),
    { level: "unseen", cause: "the table or the pods were not read" },
  );
});

/** The marks that an admission gave, with a text in them replaced. */
const marksOf = ({ operations }: Cluster, metadata: object, from = "", to = ""): object => {
  const value = (path: string): unknown =>
    operations.map((each) => ("value" in each ? each : undefined)).find((each) => each?.path.includes(path))?.value;
  const marks = {
    labels: {
      ...(metadata as { labels: object }).labels,
      "flowgen.io/gateway": GATEWAY,
      "target.flowgen.io/mssql": "true",
    },
    annotations: {
      ...(metadata as { annotations: object }).annotations,
      "flowgen.io/gateway-status": value("gateway-status"),
    },
  };
  return JSON.parse(JSON.stringify(marks).replaceAll(from === "" ? "\u0000" : from, to)) as object;
};

t.test("a CronJob's pods have a Job between", async (t) => {
  const { put, forbid } = await startCluster(t);
  await put(
    object("CronJob", "team-a", "nightly", { spec: { jobTemplate: { spec: { template } } } }),
    object(
      "Job",
      "team-a",
      "nightly-1",
      {},
      { ownerReferences: [{ apiVersion: "batch/v1", kind: "CronJob", name: "nightly", uid: "u" }] },
    ),
    object("Pod", "team-a", "p", { spec: template.spec }, { labels: { "job-name": "nightly-1" } }),
  );
  await put(
    object("Job", "team-a", "by-hand"),
    object("Pod", "team-a", "of-by-hand", { spec: template.spec }, { labels: { "job-name": "by-hand" } }),
    object("Pod", "team-a", "of-no-job", { spec: template.spec }),
  );
  t.match(faults((await check("cj/nightly", "-n", "team-a")).findings), [
    { code: "pod-not-redirected", object: "Pod team-a/p" },
  ]);
  for (const plural of ["pods", "jobs"]) {
    forbid(plural);
    t.match(
      (await check("cj/nightly", "-n", "team-a")).findings.find(({ object: about }) => about.startsWith("pods of")),
      { level: "unseen", cause: new RegExp(`^.*${plural} is forbidden`) },
    );
  }
});

t.test("mistakes", async (t) => {
  await startCluster(t);
  t.match(await program("check", "thing/x"), { code: 2, err: /write config FILE, or a workload: pod\/NAME, deploy/ });
  for (const word of ["pod/", "pod", "/x", "deploy/a/b", "deploy/x y", "svc/x"])
    t.match(await program("check", word), { code: 2, err: /write config FILE, or a workload: / }, word);
  t.match(await program("check", "pod/a", "pod/b"), { code: 2, err: /write config FILE, or a workload: / });
  t.match(await program("check", "--pre", "pod/a"), { code: 2, err: /--pre looks at no workload/ });
  t.match(await program("check", "config", "a", "b"), { code: 2, err: /too many arguments/ });
});

t.test("pods with one finding, and a pod that is not flowgen's", async (t) => {
  const { put } = await startCluster(t);
  const pod = (name: string) =>
    object("Pod", "team-a", name, { spec: template.spec }, { labels: template.metadata.labels });
  const found = async () => faults((await check("deploy/orders", "-n", "team-a")).findings);
  await put(deployment(), pod("orders-1"), pod("orders-2"));
  t.match(await found(), [
    { object: "Pod team-a/orders-1 and orders-2", run: "kubectl delete pod orders-1 orders-2 --namespace team-a" },
  ]);
  await put(pod("orders-3"));
  const all = await found();
  t.match(all, [
    {
      object: "Pod team-a/orders-1 and 2 more",
      run: "kubectl delete pod orders-1 orders-2 orders-3 --namespace team-a",
    },
  ]);
  t.equal(all.length, 1);
  await put(deployment({}, { ...template.metadata, labels: { app: "x" } }));
  t.match(await found(), [{ code: "not-flowgen", cause: /the pod lacks app\.kubernetes\.io\/name=flowgen or app=/ }]);
});

t.test("a gateway's own Deployment, and its pod, are looked at as the gateway", async (t) => {
  const { put, setReady } = await startCluster(t);
  const found = async (name: string) => (await check(name, "-n", SPACE)).findings;
  t.match(
    (await found(`deploy/${GATEWAY}`)).find(({ object: of }) => of === `gateway ${SPACE}/${GATEWAY}`),
    { level: "ok", cause: "1 of 10 forwards" },
  );
  setReady(0);
  await put(object("Pod", SPACE, "gw-1", { spec: {}, status: { phase: "Pending" } }, { labels: POD_LABELS }));
  t.match(faults(await found("pod/gw-1")), [{ code: "gateway-down", object: `Deployment ${SPACE}/${GATEWAY}` }]);
  await put(
    object("Pod", SPACE, "other", { spec: template.spec }, { labels: { "app.kubernetes.io/instance": GATEWAY } }),
  );
  t.match(faults(await found("pod/other")), [{ code: "workload-unannotated" }]);
});

t.test("a config that is not there", async (t) => {
  const { config } = await startCluster(t);
  t.match(await program("check", "config"), { code: 2, err: "check config: name the file: check config FILE" });
  t.match(await program("check", "config", "--config", config), { code: 0 });
  t.match(await program("check", "config", `${config}.x`), {
    code: 2,
    err: /config\.yaml\.x: there is no such file; check the path\n/,
  });
  t.match(await program("check", "config", dirname(config)), { code: 2, err: /: it is a folder; name a file in it\n/ });
});

t.test("a missing workload: its namespace, or a similar name", async (t) => {
  const { put } = await startCluster(t);
  await put(deployment(), object("Namespace", "", "team-a"), object("Namespace", "", "team-b"));
  const cause = async (...args: readonly string[]) =>
    (await check(...args)).findings.find(({ code }) => code === "workload-missing")?.cause;
  t.match(await cause("deployment.apps/orders", "-n", "team-b"), /^namespace team-a has one of this name: /);
  t.match(await cause("deploy", "order", "-n", "team-a"), /^did you mean orders\?: /);
  t.match(await cause("deploy/orders", "-n", "nowhere"), /^there is no namespace nowhere: /);
  t.equal(await cause("deploy/xyz", "-n", "team-b"), "there is no such workload");
});

t.test("a workload, by a user who may not read the webhook's config", async (t) => {
  const { put, forbid, operations, memory } = await startCluster(t);
  const { metadata } = patched(podOf("mssql=10.0.0.5:1433", { DB: "10.0.0.5:1433" }), operations);
  const labels = { ...metadata.labels, app: "flowgen" };
  await put(deployment(), object("Pod", "team-a", "p", { spec: template.spec, status: { phase: "Running" } }, { labels, annotations: metadata.annotations })); // prettier-ignore
  forbid("configmaps");
  const asked = ["deploy", "orders", "-n", "team-a"];
  t.match(await program("check", ...asked), {
    code: 0,
    out: /\? config.*\n(.*\n)*√ Pod team-a\/p: redirected, 10\.0\.0\.5:1433 at flowgen-wireguard-gateway\.flowgen-gateway\.svc:1433, phase Running/,
  });
  const message = `admission webhook "pods.flowgen.io" denied the request: target-not-allowed: 10.0.0.9:1 through wg0: the target is not allowed; ${reasons["target-not-allowed"].fix}`;
  memory.edit("controller", { kind: "Deployment", namespace: "team-a", name: "orders" }, (there) => ({
    ...there,
    status: { conditions: [{ type: "ReplicaFailure", status: "True", message }] },
  }));
  t.match(faults((await check(...asked)).findings), [
    { code: "target-not-allowed", object: "Deployment team-a/orders", fix: reasons["target-not-allowed"].fix },
  ]);
});

t.test("a workload whose pods the API server cannot ask the webhook about, and one with a wrong port", async (t) => {
  const { put } = await startCluster(t);
  const message = 'Internal error occurred: failed calling webhook "pods.flowgen.io": failed to call webhook: Post "https://a/mutate": dial tcp: connect: connection refused'; // prettier-ignore
  const status = { conditions: [{ type: "ReplicaFailure", status: "True", message }] };
  await put(deployment({ status }));
  t.match(
    (await check("deploy/orders", "-n", "team-a")).findings.find(({ level }) => level === "error"),
    {
      ...{ code: "not-reached", object: "Deployment team-a/orders" },
      cause: /^Post "https:\/\/a\/mutate": dial tcp: connect: connection refused: the API server cannot reach/,
    },
  );
  await put(deployment({}, podOf("mssql=10.0.0.5:14333").metadata));
  t.match(faults((await check("deploy/orders", "-n", "team-a")).findings), [
    { level: "warning", code: "pod-warning", cause: /^DB is 10\.0\.0\.5 with port 1433, the annotation says 14333: / },
    { level: "warning", code: "pod-warning", cause: /^mssql: no env was rewritten for it/ },
    { code: "workload-without-pod" },
  ]);
});

t.test("explain", async (t) => {
  for (const code of [...Object.keys(reasons), ...Object.keys(checkCodes)]) {
    const { code: exit, out } = await program("explain", code);
    t.equal(exit, 0);
    t.match(out, new RegExp(`^${code} \\([^]*cause: [^]*see +https://`));
  }
  t.match(await program("explain"), { code: 0, out: /^not-annotated +an admission ends as skip/m });
  t.match(await program("explain", "target-not-allwed"), { code: 1, err: /did you mean target-not-allowed/ });
  t.match(await program("explain", "TARGET_not_allowed"), { code: 0, out: /^target-not-allowed / });
  t.match(
    await program("explain", "xyzzyqqq"),
    { code: 1, err: /no such code or message; `explain` lists all/ },
    "nothing is near",
  );
  t.ok(new X509Certificate(certificate.cert));
});

t.test("explain prints the row of each message of docs/messages.md, by a piece of it in any case", async (t) => {
  for (const { says, means, fix, run } of messages)
    for (const words of says)
      for (const piece of [words, words.toUpperCase(), words.slice(2), ` ${words.slice(0, -2).toLowerCase()} `]) {
        const { code, out } = await program("explain", piece);
        t.equal(code, 0, piece);
        const lines = [`  cause: ${means}`, `  fix:   ${fix}`, ...(run === undefined ? [] : [`  run:   ${run}`])];
        t.ok(out.includes(`${lines.join("\n")}\n  see    https://`), `${piece}: ${out}`);
      }
  const line = "ERROR task failed error=Timed  out in bb8 attempt=3";
  t.match(await program("explain", line), { code: 0, out: /^"Timed out in bb8"\n {2}cause: the pool of mssql_query/ });
  t.match(await program("explain", "os error 11"), {
    code: 0,
    out: /refused \(os error 111\)[^]*timed out \(os error 110\)/,
  });
  const refusal = 'admission webhook "pods.flowgen.io" denied the request: target-not-allowed: 10.0.0.5:1433 is not';
  t.match(await program("explain", refusal), { code: 0, out: /^target-not-allowed \([^]*\n"admission webhook/ });
  t.match(await program("explain"), { out: /^"Timed out in bb8" +flowgen's log +the pool of mssql_query/m });
  t.match(await program("explain", "in"), { code: 1 });
  t.match(await program("explain", "timed", "out", "IN", "bb8"), { code: 0 }, "without quotes");
});

/** Marks of objects that Helm made, and of those from `helm template`. */
const TEMPLATED = { labels: { "app.kubernetes.io/managed-by": "Helm" } };
const RELEASED = {
  ...TEMPLATED,
  annotations: { "meta.helm.sh/release-name": "fgw", "meta.helm.sh/release-namespace": "ops" },
};
const marked = (deployment: KubeObject, marks: object): KubeObject => ({
  ...deployment,
  metadata: { ...deployment.metadata, ...marks },
});

t.test(
  "a command has the form of the installation: a release of Helm, a template, kubectl, or elsewhere",
  async (t) => {
    const at = `--namespace ${NAME}`;
    const chart = `deploy/helm/${NAME}`;
    const upgrade = `helm upgrade fgw ${chart} --namespace ops`;
    const values = `helm get values fgw --namespace ops --output yaml > values.yaml && "\${EDITOR:-vi}" values.yaml && ${upgrade} --values values.yaml`;
    const edit = `kubectl edit configmap ${NAME}-config ${at}`;
    const patch = '[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"}]';
    const certs = `flowgen-gateway certs --tls-secret ${NAME}-tls ${at} --webhook-configuration ${NAME}`;
    const restart = `kubectl rollout restart deployment/${NAME} ${at}`;
    const wanted: Readonly<
      Record<string, readonly [helm: string, template: string, kubectl: string, elsewhere?: string]>
    > = {
      "a policy that is gone": [
        `${upgrade} --reset-then-reuse-values`,
        `helm template ${NAME} ${chart} ${at} --values values.yaml | kubectl apply -f -`,
        ...(["kubectl apply -k YOUR-OVERLAY", "kubectl apply -k YOUR-OVERLAY"] as const),
      ],
      "an open door": [
        `${upgrade} --reset-then-reuse-values --set webhook.failurePolicy=Fail`,
        ...([1, 2, 3].map(() => `kubectl patch mutatingwebhookconfiguration ${NAME} --type=json --patch='${patch}'`) as [string, string, string]), // prettier-ignore
      ],
      "an old node": [values, edit, edit, undefined as never],
      "a config that is not valid": [values, edit, edit],
      "another CA": [restart, restart, restart, `${certs} --dry-run`],
      "a URL and no caBundle": [restart, restart, restart, `${certs} --tls-names a.example.com --dry-run`],
    };
    for (const [title, runs] of Object.entries(wanted))
      for (const [index, run] of runs.entries()) {
        const cluster = await startCluster(t);
        const deployment = webhookDeployment(`x/y:${version}`, 2);
        if (index === 3) cluster.memory.remove({ kind: "Deployment", namespace: NAME, name: NAME });
        else await cluster.put(marked(deployment, [RELEASED, TEMPLATED, {}][index] ?? {}));
        const [code = "", damage] = BREAKS[title] ?? [];
        await damage?.(cluster);
        const found = (await check()).findings.find((each) => each.code === code);
        t.equal(found?.run, run, `${title}, ${["helm", "template", "kubectl", "elsewhere"][index] ?? ""}`);
      }
  },
);

t.test("a fix that changes the config has a command: its ConfigMap, its values, or its file", async (t) => {
  const cluster = await startCluster(t);
  const broad = CONFIG.replace("[10.0.0.0/8]", '["0.0.0.0/0"]').replace("maxForwards: 10", "maxForwards: 1");
  await cluster.put(
    object("ConfigMap", NAME, `${NAME}-config`, { data: { "config.yaml": broad } }),
    object("Secret", SPACE, "wg", { data: { "wg0.conf": b64(WG) } }),
  );
  const edit = `kubectl edit configmap ${NAME}-config --namespace ${NAME}`;
  const runs = async (...args: readonly string[]) =>
    Object.fromEntries(faults((await check(...args)).findings).map(({ code = "", run }) => [code, run]));
  t.strictSame(await runs(), { "tunnel-allows-all": edit, "forwards-full": edit });
  writeFileSync(cluster.config, broad);
  const { findings } = await check("config", cluster.config);
  t.match(faults(findings), [
    { code: "tunnel-allows-all", cause: /^gateways\[0\]\.tunnels\[0\]: /, run: `"\${EDITOR:-vi}" ${cluster.config}` },
  ]);
  t.strictSame((await runs("--config", cluster.config))["forwards-full"], `"\${EDITOR:-vi}" ${cluster.config}`);

  const audit = `mode: audit\n${CONFIG}`;
  await cluster.put(
    object("ConfigMap", NAME, `${NAME}-config`, { data: { "config.yaml": audit } }),
    deployment({}),
    marked(webhookDeployment(`x/y:${version}`, 2), RELEASED),
  );
  const enforce = `helm upgrade fgw deploy/helm/${NAME} --namespace ops --reset-then-reuse-values --set config.mode=enforce`;
  t.equal((await runs("deploy/orders", "-n", "team-a"))["audit-mode"], enforce);
  const own = podOf("mssql=10.0.0.5:1433", { DB: "10.0.0.5:1433" }, { "flowgen.io/mode": "audit" });
  await cluster.put(
    object("ConfigMap", NAME, `${NAME}-config`, { data: { "config.yaml": CONFIG } }),
    deployment({}, own.metadata),
  );
  t.strictSame((await runs("deploy/orders", "-n", "team-a"))["audit-mode"], undefined, "the pod's own mode");
  await cluster.put(deployment({}, podOf("mssql=192.168.0.5:1433").metadata));
  t.match((await runs("deploy/orders", "-n", "team-a"))["target-not-allowed"], /^helm get values fgw/);
});
