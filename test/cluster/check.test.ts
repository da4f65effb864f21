// `check` on a real API server: a healthy installation, and installations that are broken here one way each. There is
// no node: the gateway's pod, its readiness and its endpoints are written as a kubelet and the controllers would.
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { runProgram } from "../../src/commands/program/program.ts";
import { setEnv } from "../environment.ts";
import { connectTo } from "../lab/control-plane/api.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { flowgenPod, GATEWAY, HOST, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";
import { eventually } from "../wait.ts";

const scene = await startScene(t, { config: ONE_TUNNEL, controllerManager: false });
const { controlPlane, installed, kubectl, apply, made } = scene;
let webhook = await installed.start();
t.teardown(() => webhook.stop());
const api = connectTo(controlPlane);
t.teardown(api.close);
const NAME = "flowgen-gateway-webhook";
const { namespace, name } = GATEWAY;
const inGateway = `--namespace=${namespace}`;

type Finding = {
  readonly level: string;
  readonly code?: string;
  readonly object: string;
  readonly cause: string;
  readonly fix?: string;
  readonly run?: string;
};
const configFile = join(controlPlane.folder, "check.yaml");
await writeFile(configFile, ONE_TUNNEL);

/** Runs `check` as a program, and returns its exit code with what it found. */
const check = async (t: Test, args: readonly string[] = [], kubeconfig = controlPlane.kubeconfig) => {
  setEnv(t, { ...process.env, KUBECONFIG: kubeconfig });
  let out = "";
  let err = "";
  const all = ["check", "--config", configFile, ...args, "-o", "json"];
  const code = await runProgram(all, { out: (text) => void (out += text), err: (text) => void (err += text) });
  if (code === 2 || code === 70) throw new Error(err);
  const { findings } = JSON.parse(out) as { readonly findings: readonly Finding[] };
  return { code, findings };
};

// The writes of a kubelet, and of the controllers of Deployments and endpoints.
const ready = (replicas: number) =>
  api.ask("PATCH", `/apis/apps/v1/namespaces/${namespace}/deployments/${name}/status`, {
    status: { replicas, readyReplicas: replicas, availableReplicas: replicas },
  });
const slice = (service: string, isReady: boolean) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: `${service}-1`, namespace, labels: { "kubernetes.io/service-name": service } },
  addressType: "IPv4",
  ports: [{ name: "mssql", port: 1433 }],
  endpoints: [{ addresses: ["10.1.0.9"], conditions: { ready: isReady } }],
});
const secret = (data: Readonly<Record<string, string>>) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "wireguard-client-a", namespace },
  stringData: data,
});
const WG = { "wg0.conf": "[Interface]\nPrivateKey = c2VjcmV0\n" };
const pod = await made(flowgenPod("team-a", "orders", targets("mssql=10.0.0.5:1433"), { DB: "10.0.0.5:1433" }));
if (pod.spec.containers[0]?.env?.[0]?.value !== `${HOST}:1433`) throw new Error("the pod is not redirected");
await apply(secret(WG), slice(name, true));
await ready(1);
await kubectl(["create", "serviceaccount", "default", inGateway]);
const asBreaker = await breakGlass(kubectl, namespace);
await breakGlass(kubectl, "team-b");
const glass = (...args: readonly string[]): Promise<string> => kubectl([...args, inGateway, asBreaker]);

type Break = {
  readonly code: string;
  readonly object: RegExp;
  readonly cause?: RegExp;
  /** The command of the finding. */
  readonly run?: string;
  readonly level?: "warning";
  readonly args?: readonly string[];
  readonly break: () => Promise<unknown>;
  readonly restore: () => Promise<unknown>;
};

const REGISTRATION = `mutatingwebhookconfiguration/${NAME}`;
type Registration = { readonly webhooks: readonly { readonly clientConfig: object }[]; readonly metadata: object };
const asFound = await scene.get<Registration>(REGISTRATION);
const registered = (change: (webhook: { readonly clientConfig: object }) => object) => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  metadata: { name: NAME },
  webhooks: asFound.webhooks.map(change),
});
/** Puts another registration there. */
const register = async (change: (webhook: { readonly clientConfig: object }) => object): Promise<void> => {
  await kubectl(["delete", REGISTRATION, "--ignore-not-found"]);
  await apply(registered(change));
};
const restoreRegistration = (): Promise<void> => register((each) => each);
const leadTo = (clientConfig: object) => (): Promise<void> => register((each) => ({ ...each, clientConfig }));
const { url, ca } = installed;
const bundle = Buffer.from(ca).toString("base64");
const other = await makeServingCertificate(["127.0.0.1"], 1, new Date());
const service = (of: string) => ({ name: of, namespace: NAME, path: "/mutate", port: 443 });
const restart = async (tls?: readonly string[]): Promise<void> => {
  await webhook.stop();
  webhook = await installed.start(tls === undefined ? {} : { tls });
};
const past = await makeServingCertificate(["127.0.0.1"], 1, new Date(Date.now() - 9 * 86_400_000));
const file = async (of: string, text: string): Promise<string> => {
  const path = join(controlPlane.folder, of);
  await writeFile(path, text, { mode: 0o600 });
  return path;
};
const pastTls = [`--tls-cert=${await file("past.crt", past.cert)}`, `--tls-key=${await file("past.key", past.key)}`];
const twoTunnels = await file(
  "two.yaml",
  `${ONE_TUNNEL}  - name: other\n    namespace: ${namespace}\n    tunnels: [{name: wg1, secretName: wireguard-client-b, allowedTargets: [10.0.0.0/8]}]\n`,
);
const twice = await file("twice.yaml", `${ONE_TUNNEL}defaultGateway: nowhere\n`);
const full = await file("full.yaml", ONE_TUNNEL.replace("    tunnels", "    maxForwards: 1\n    tunnels"));
const tableOf = async (): Promise<object> => scene.get<object>(`configmap/${name}-forwards`, inGateway);
const table = await tableOf();
const serviceThere = await scene.get<{ readonly spec: object; readonly metadata: object }>(
  `service/${name}`,
  inGateway,
);
/** A server without TLS. */
const plain = createServer((_request, response) => response.end("hello")).listen(0, "127.0.0.1");
t.teardown(() => plain.close());
const policy = await scene.get<object>(`networkpolicy/${name}`, inGateway);
const leave = async (): Promise<void> => undefined;

/** Put back as the break-glass user, without what the API server added. */
const putBack = async (object: object): Promise<string> => {
  const { metadata, ...rest } = object as { readonly metadata: { readonly [field: string]: unknown } };
  const { uid: _uid, resourceVersion: _version, creationTimestamp: _time, managedFields: _fields, ...own } = metadata;
  const text = JSON.stringify({ ...rest, metadata: own });
  return kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-", asBreaker], text);
};

t.test("a healthy installation", async (t) => {
  await check(t); // what the program imports is read from the disk
  const started = performance.now();
  const { code, findings } = await check(t);
  t.ok(performance.now() - started < 5000, "under 5 s");
  t.strictSame(
    findings.filter(({ level }) => level === "error" || level === "warning"),
    [],
  );
  t.equal(code, 0);
  t.match(findings, [{ level: "ok" }]);
  t.ok(findings.some(({ cause }) => cause === "the API server reaches the webhook, which answers"));
  t.ok(findings.some(({ cause }) => cause === "has the rights that it needs"));
});

t.test("a healthy workload", async (t) => {
  const { code, findings } = await check(t, ["pod/orders", "-n", "team-a"]);
  t.strictSame(
    findings.filter(({ level }) => level === "error"),
    [],
  );
  t.equal(code, 0);
  t.ok(findings.some(({ cause }) => cause.includes(`10.0.0.5:1433 at ${HOST}:1433`)));
});

const BREAKS: Readonly<Record<string, Break>> = {
  "the registration is gone": {
    code: "registration-missing",
    object: /MutatingWebhookConfiguration flowgen-gateway-webhook/,
    break: () => kubectl(["delete", REGISTRATION]),
    restore: restoreRegistration,
  },
  "the webhook does not run": {
    code: "not-reached",
    object: /MutatingWebhookConfiguration/,
    cause: /connection refused/,
    break: () => webhook.stop(),
    restore: async () => (webhook = await installed.start()),
  },
  "another CA in caBundle": {
    code: "certificate-untrusted",
    object: /MutatingWebhookConfiguration/,
    break: leadTo({ url, caBundle: Buffer.from(other.ca).toString("base64") }),
    restore: restoreRegistration,
  },
  "the certificate has another name": {
    code: "certificate-name",
    object: /MutatingWebhookConfiguration/,
    break: leadTo({ url: url.replace("127.0.0.1", "localhost"), caBundle: bundle }),
    restore: restoreRegistration,
  },
  "the certificate has expired": {
    code: "certificate-expired",
    object: /MutatingWebhookConfiguration/,
    break: async () => {
      await restart(pastTls);
      await leadTo({ url, caBundle: Buffer.from(past.ca).toString("base64") })();
    },
    restore: async () => {
      await restart();
      await restoreRegistration();
    },
  },
  "the Service does not exist": {
    code: "service-not-found",
    object: /MutatingWebhookConfiguration/,
    cause: /service "nowhere" not found/,
    break: leadTo({ service: service("nowhere"), caBundle: bundle }),
    restore: restoreRegistration,
  },
  "no pod of the webhook is ready": {
    code: "no-endpoints",
    object: /MutatingWebhookConfiguration/,
    break: leadTo({ service: service(NAME), caBundle: bundle }),
    restore: restoreRegistration,
  },
  "caBundle is empty": {
    code: "ca-bundle-missing",
    object: /MutatingWebhookConfiguration/,
    break: leadTo({ service: service(NAME) }),
    restore: restoreRegistration,
  },
  "caBundle is empty, and the address a URL": {
    code: "ca-bundle-missing",
    object: /MutatingWebhookConfiguration/,
    cause: /signed by unknown authority/,
    break: leadTo({ url }),
    restore: restoreRegistration,
  },
  "the path is not the webhook's": {
    code: "path-unknown",
    object: /MutatingWebhookConfiguration/,
    break: leadTo({ url: url.replace("/mutate", "/mutat"), caBundle: bundle }),
    restore: restoreRegistration,
  },
  "another program answers": {
    code: "answer-unusable",
    object: /MutatingWebhookConfiguration/,
    break: async () => {
      const { port } = plain.address() as AddressInfo;
      await leadTo({ url: `https://127.0.0.1:${port}/mutate`, caBundle: bundle })();
    },
    restore: restoreRegistration,
  },
  "the registration leaves the namespace out": {
    code: "not-asked",
    object: /MutatingWebhookConfiguration/,
    cause: /^its namespaceSelector leaves out default: /,
    break: () =>
      register((each) => ({
        ...each,
        namespaceSelector: {
          matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["default"] }],
        },
      })),
    restore: restoreRegistration,
  },
  "the registration asks about nothing": {
    code: "not-asked",
    object: /MutatingWebhookConfiguration/,
    cause: /^its matchCondition never does not ask for flowgen\.io\/private-targets: /,
    break: () => register((each) => ({ ...each, matchConditions: [{ name: "never", expression: "false" }] })),
    restore: restoreRegistration,
  },
  "a policy is not in force": {
    code: "policy-missing",
    level: "warning",
    object: /ValidatingAdmissionPolicyBinding flowgen-gateway-webhook-marks/,
    break: () => kubectl(["delete", "validatingadmissionpolicybinding", `${NAME}-marks`]),
    restore: () =>
      apply({
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingAdmissionPolicyBinding",
        metadata: { name: `${NAME}-marks` },
        spec: { policyName: `${NAME}-marks`, validationActions: ["Deny"] },
      }),
  },
  "the webhook's rights are gone": {
    code: "right-of-webhook",
    object: /ServiceAccount flowgen-gateway-webhook\/flowgen-gateway-webhook/,
    cause:
      /get, create, patch configmaps flowgen-wireguard-gateway-forwards, flowgen-wireguard-gateway-scripts in flowgen-gateway/,
    run: "kubectl apply -k YOUR-OVERLAY",
    break: () => kubectl(["delete", "rolebinding", NAME, inGateway]),
    restore: () =>
      kubectl(["create", "rolebinding", NAME, `--role=${NAME}`, `--serviceaccount=${NAME}:${NAME}`, inGateway]),
  },
  "Pod Security refuses the gateway's pod": {
    code: "pod-security",
    object: /Namespace flowgen-gateway/,
    cause: /the level restricted/,
    run: `kubectl label namespace ${namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`,
    break: () =>
      kubectl(["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite"]),
    restore: () =>
      kubectl(["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged", "--overwrite"]),
  },
  "the tunnel's Secret is not there": {
    code: "secret-missing",
    object: /Secret flowgen-gateway\/wireguard-client-a/,
    break: () => kubectl(["delete", "secret", "wireguard-client-a", inGateway]),
    restore: () => apply(secret(WG)),
  },
  "the Secret holds no WireGuard config": {
    code: "secret-unread",
    object: /Secret flowgen-gateway\/wireguard-client-a/,
    cause: /^tunnel wg0 reads wg0\.conf: /,
    run: `kubectl create secret generic wireguard-client-a --namespace ${namespace} --from-file=wg0.conf --dry-run=client -o yaml | kubectl apply -f -`,
    break: () => apply(secret({ "wg0.conf": "hello" })),
    restore: () => apply(secret(WG)),
  },
  "the Secret has another key": {
    code: "secret-key-missing",
    object: /Secret flowgen-gateway\/wireguard-client-a/,
    cause: /reads wg0.conf; the Secret has client.conf/,
    break: async () => {
      await kubectl(["delete", "secret", "wireguard-client-a", inGateway]);
      await apply(secret({ "client.conf": "x" }));
    },
    restore: async () => {
      await kubectl(["delete", "secret", "wireguard-client-a", inGateway]);
      await apply(secret(WG));
    },
  },
  "two tunnels hold one key": {
    code: "identity-twice",
    object: /Secret flowgen-gateway\/wireguard-client-b, key wg1.conf/,
    args: ["--config", twoTunnels],
    break: () => {
      const copy = secret({ "wg1.conf": WG["wg0.conf"] });
      return apply({ ...copy, metadata: { ...copy.metadata, name: "wireguard-client-b" } });
    },
    restore: () => kubectl(["delete", "secret", "wireguard-client-b", inGateway]),
  },
  "the config is not valid": {
    code: "config-invalid",
    object: /twice.yaml/,
    cause: /defaultGateway: "nowhere" is none of the gateways/,
    args: ["--config", twice],
    break: leave,
    restore: leave,
  },
  "the table is full": {
    code: "forwards-full",
    object: /gateway flowgen-gateway\/flowgen-wireguard-gateway/,
    cause: /1 of 1 forwards/,
    args: ["--config", full],
    break: leave,
    restore: leave,
  },
  "the table cannot be read": {
    code: "table-invalid",
    object: /ConfigMap flowgen-gateway\/flowgen-wireguard-gateway-forwards/,
    cause: /^table\.json: it is not JSON: /,
    break: () => glass("patch", `configmap/${name}-forwards`, "--type=merge", '--patch={"data":{"table.json":"{"}}'),
    restore: () => putBack(table),
  },
  "the table was deleted": {
    code: "table-lost",
    object: /ConfigMap flowgen-gateway\/flowgen-wireguard-gateway-forwards/,
    break: () => glass("delete", `configmap/${name}-forwards`),
    restore: () => putBack(table),
  },
  "a Service was deleted": {
    code: "service-lost",
    object: /Service flowgen-gateway\/flowgen-wireguard-gateway/,
    break: () => glass("delete", `service/${name}`),
    restore: () => putBack(serviceThere),
  },
  "a Service lacks the target's port": {
    code: "service-port-lost",
    object: /Service flowgen-gateway\/flowgen-wireguard-gateway/,
    cause: /port 1433/,
    break: () =>
      glass(
        "patch",
        `service/${name}`,
        "--type=json",
        '--patch=[{"op":"replace","path":"/spec/ports/0/port","value":5}]',
      ),
    restore: () =>
      glass(
        "patch",
        `service/${name}`,
        "--type=json",
        '--patch=[{"op":"replace","path":"/spec/ports/0/port","value":1433}]',
      ),
  },
  "a Service has no ready pod": {
    code: "service-without-pod",
    object: /Service flowgen-gateway\/flowgen-wireguard-gateway/,
    break: () => apply(slice(name, false)),
    restore: () => apply(slice(name, true)),
  },
  "the gateway's pod cannot start": {
    code: "gateway-down",
    object: /Deployment flowgen-gateway\/flowgen-wireguard-gateway/,
    cause: /container wireguard: CrashLoopBackOff/,
    break: async () => {
      await ready(0);
      await apply({
        apiVersion: "v1",
        kind: "Pod",
        metadata: {
          name: "gw-1",
          namespace,
          labels: {
            "app.kubernetes.io/name": "flowgen",
            "app.kubernetes.io/instance": name,
            "app.kubernetes.io/component": "wireguard-gateway",
          },
        },
        spec: { containers: [{ name: "wireguard", image: "x" }] },
      });
      await api.ask("PATCH", `/api/v1/namespaces/${namespace}/pods/gw-1/status`, {
        status: {
          phase: "Running",
          containerStatuses: [
            {
              ...{ name: "wireguard", image: "x", imageID: "", ready: false, restartCount: 3 },
              state: { waiting: { reason: "CrashLoopBackOff" } },
            },
          ],
        },
      });
    },
    restore: async () => {
      await kubectl(["delete", "pod", "gw-1", inGateway, "--grace-period=0", "--force"]);
      await ready(1);
    },
  },
  "a gateway that the config does not know": {
    code: "gateway-orphan",
    level: "warning",
    object: /Deployment team-b\/flowgen-wireguard-gateway/,
    break: async () => {
      const labels = { "app.kubernetes.io/managed-by": NAME };
      await putBack({
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name, namespace: "team-b", labels },
        spec: {
          selector: { matchLabels: { x: "y" } },
          template: { metadata: { labels: { x: "y" } }, spec: { containers: [{ name: "a", image: "x" }] } },
        },
      });
    },
    restore: () => kubectl(["delete", "deployment", name, "--namespace=team-b", asBreaker]),
  },
  "a pod that was made without the webhook": {
    code: "pod-not-redirected",
    object: /Pod team-a\/early/,
    args: ["pod/early", "-n", "team-a"],
    break: async () => {
      await kubectl(["delete", REGISTRATION]);
      await eventually("pods come unredirected", 20_000, async () => {
        const { code } = await scene.create(flowgenPod("team-a", "early", targets("mssql=10.0.0.5:1433")));
        return code === 0 ? true : undefined;
      });
    },
    restore: async () => {
      await kubectl(["delete", "pod", "early", "--namespace=team-a", "--grace-period=0", "--force"]);
      await restoreRegistration();
    },
  },
  "the gateway's NetworkPolicy keeps a pod out": {
    code: "network-policy",
    object: /NetworkPolicy flowgen-gateway\/flowgen-wireguard-gateway/,
    cause: /pod orders, target 10.0.0.5:1433/,
    args: ["pod/orders", "-n", "team-a"],
    break: () => glass("patch", `networkpolicy/${name}`, "--type=merge", '--patch={"spec":{"ingress":[]}}'),
    restore: leave,
  },
  "the gateway's NetworkPolicy was deleted": {
    code: "policy-lost",
    object: /NetworkPolicy flowgen-gateway\/flowgen-wireguard-gateway/,
    break: () => glass("delete", `networkpolicy/${name}`),
    restore: () => putBack(policy),
  },
  "a target that is not allowed": {
    code: "target-not-allowed",
    object: /Deployment team-a\/wrong/,
    cause: /192.168.0.5:1433 through wg0/,
    args: ["deploy/wrong", "-n", "team-a"],
    break: () =>
      apply({
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "wrong", namespace: "team-a" },
        spec: {
          selector: { matchLabels: { app: "wrong" } },
          template: {
            metadata: {
              labels: { app: "wrong", "app.kubernetes.io/name": "flowgen" },
              annotations: targets("mssql=192.168.0.5:1433"),
            },
            spec: { containers: [{ name: "a", image: "x" }] },
          },
        },
      }),
    restore: () => kubectl(["delete", "deployment", "wrong", "--namespace=team-a"]),
  },
};

for (const [title, broken] of Object.entries(BREAKS)) {
  t.test(title, async (t) => {
    await broken.break();
    try {
      const found = await eventually(`finding ${broken.code}`, 20_000, async () => {
        const { code, findings } = await check(t, broken.args);
        const finding = findings.find((each) => each.code === broken.code);
        return finding && { code, finding };
      });
      t.match(found.finding.object, broken.object);
      if (broken.cause) t.match(found.finding.cause, broken.cause);
      t.ok(found.finding.fix, "with its fix");
      if (broken.run) t.equal(found.finding.run, broken.run);
      t.equal(found.finding.level, broken.level ?? "error");
      t.equal(found.code, broken.level === "warning" ? 0 : 1);
    } finally {
      await broken.restore();
    }
  });
}

t.test("for a user who may read almost nothing the unread objects are named", async (t) => {
  const kubeconfig = await controlPlane.signIn("somebody", { name: "somebody" });
  const { code, findings } = await check(t, [], kubeconfig);
  t.equal(code, 0);
  const unseen = findings.filter(({ level }) => level === "unseen").map(({ cause }) => cause);
  for (const what of ["mutatingwebhookconfigurations", "pods is forbidden", "secrets", "nodes", "configmaps"])
    t.ok(
      unseen.some((cause) => cause.includes(what)),
      what,
    );
  t.notMatch(JSON.stringify(findings), /c2VjcmV0/, "no key is shown");
});

t.test("before an installation", async (t) => {
  t.match(await check(t, ["--pre", "--install-name", "another"]), { code: 0 });
  const { code, findings } = await check(t, ["--pre"], await controlPlane.signIn("somebody", { name: "somebody" }));
  t.equal(code, 1);
  t.match(
    findings.find((each) => each.code === "right-to-install"),
    { cause: /create mutatingwebhookconfigurations.admissionregistration.k8s.io/ },
  );
});
