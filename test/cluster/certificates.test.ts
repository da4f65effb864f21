// The webhook's own certificate on a real API server: three replicas with the rights of the installed ServiceAccount,
// behind one address. The API server asks them about a stream of pods.
import { X509Certificate } from "node:crypto";
import { Agent } from "node:https";
import { connect as connectTls } from "node:tls";
import t from "tap";
import { ClusterError, type KubeObject } from "../../src/cluster/cluster.ts";
import { connect } from "../../src/cluster/kubernetes.ts";
import { type CertificateReason, type StepKind, stepText } from "../../src/certificates/reasons.ts";
import { type Certificates, decodeData, encodeData, fromFiles, toFiles } from "../../src/certificates/secret.ts";
import { pemBlocks } from "../../src/certificates/x509.ts";
import { makeCa, makeLeaf } from "../../src/certificates/issue.ts";
import { startBalancer } from "../lab/control-plane/balancer.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { flowgenPod, startScene, targets } from "../lab/control-plane/scene.ts";
import type { Webhook } from "../lab/control-plane/webhook.ts";
import { send } from "../server/client.ts";
import { until } from "../wait.ts";

const NAMESPACE = "flowgen-gateway-webhook";
const SECRET = "flowgen-gateway-webhook-tls";
const HOOKS = "flowgen-gateway-webhook";
const DAY = 86_400_000;
const MINUTE = 60_000;
const SETTLE_S = 4;
const TLS = [
  `--tls-secret=${SECRET}`,
  `--namespace=${NAMESPACE}`,
  "--tls-names=127.0.0.1",
  `--tls-settle-seconds=${SETTLE_S}`,
  "--reload-seconds=1",
];

const scene = await startScene(t);
const { kubectl, get, list, installed, controlPlane } = scene;
const admin = await connect("kubeconfig", { kubeconfigPath: controlPlane.kubeconfig });
const ports = await freePorts(3);
const url = new URL(installed.url);
const balancer = await startBalancer(Number(url.port), ports);
t.teardown(balancer.close);

/** The registration as the chart makes it, which leaves `caBundle` to the webhook. */
const register = async (more: object = {}, ...flags: string[]): Promise<void> => {
  const live = await get<KubeObject & { webhooks: readonly { name: string }[] }>("mutatingwebhookconfiguration", HOOKS);
  const pods = live.webhooks.filter(({ name }) => name === "pods.flowgen.io");
  const webhooks = pods.map((webhook) => ({ ...webhook, clientConfig: { url: installed.url }, ...more }));
  const object = { apiVersion: live.apiVersion, kind: live.kind, metadata: { name: HOOKS }, webhooks };
  await kubectl(["apply", ...flags, "-f", "-"], JSON.stringify(object));
};
const bundle = async (): Promise<readonly string[]> => {
  const live = await get<{ webhooks: { clientConfig: { caBundle?: string } }[] }>(
    "mutatingwebhookconfiguration",
    HOOKS,
  );
  return live.webhooks.flatMap(({ clientConfig }) =>
    pemBlocks(Buffer.from(clientConfig.caBundle ?? "", "base64").toString()),
  );
};
type SecretData = { readonly data?: Readonly<Record<string, string>> };
const stored = async (): Promise<Certificates | undefined> => {
  const { code, stdout } = await controlPlane.kubectl([
    "get",
    "secret",
    SECRET,
    `--namespace=${NAMESPACE}`,
    "-o",
    "json",
  ]);
  return code === 0 ? fromFiles(decodeData((JSON.parse(stdout) as SecretData).data ?? {})) : undefined;
};
let webhooks: readonly Webhook[] = [];
t.teardown(() => Promise.all(webhooks.map(({ stop }) => stop())));

/** Every replica serves the Secret's certificate, and every webhook trusts it. */
const isSettled = async (): Promise<boolean> => {
  const { leaf, ca } = (await stored()) ?? {};
  const all = await Promise.all(ports.map(served));
  return all.every((pem) => pem.trim() === leaf?.cert.trim()) && (await bundle()).includes(ca?.cert ?? "");
};
type Line = Readonly<Record<string, unknown>>;
/** The writes of all replicas from now on, by their logs. */
const watchSteps = (): (() => readonly Line[]) => {
  const changes = () => webhooks.flatMap(({ log }) => log.filter(({ msg }) => msg === "certificates changed"));
  const before = new Set(changes());
  return () => changes().filter((line) => !before.has(line));
};
const textOf = ({ step, reason }: Line): string => `${String(step)} ${String(reason)}`;
const metrics = async (): Promise<string> =>
  (await Promise.all(webhooks.map((webhook) => webhook.metrics()))).join("\n");
const served = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw).toString());
      socket.destroy();
    });
    socket.on("error", reject);
  });
const events = async (): Promise<readonly string[]> =>
  (
    await list<{ type: string; message: string; involvedObject: { name: string } }>(
      "events",
      `--namespace=${NAMESPACE}`,
    )
  )
    .filter(({ involvedObject }) => involvedObject.name === SECRET)
    .map(({ type, message }) => `${type}: ${message}`);

let runs = 0;
/** Pods made one after another by some clients, all of which the API server asks the webhook about. */
const stream = () => {
  const failures: string[] = [];
  let admitted = 0;
  let isEnding = false;
  let names = 0;
  const one = async (): Promise<void> => {
    const pod = flowgenPod("team-a", `load-${runs}-${(names += 1)}`, targets("mssql=10.0.0.5:1433"));
    try {
      const made = await admin.create(pod as unknown as KubeObject, AbortSignal.timeout(20_000));
      if (made.metadata.labels?.["target.flowgen.io/mssql"] === "true") admitted += 1;
      else failures.push("let through unchanged");
    } catch (error) {
      failures.push(error instanceof ClusterError ? error.message : String(error));
    }
  };
  const client = async (): Promise<void> => {
    while (!isEnding) await one();
  };
  runs += 1;
  const clients = Array.from({ length: 3 }, client);
  return {
    failures,
    /** More at once than before, so that the API server must open connections. */
    burst: async (): Promise<void> => {
      await Promise.all(Array.from({ length: 30 }, one));
    },
    end: async (): Promise<number> => {
      isEnding = true;
      await Promise.all(clients);
      return admitted;
    },
  };
};

const patch = (data: Readonly<Record<string, string>>): readonly string[] => [
  ...["patch", "secret", SECRET, `--namespace=${NAMESPACE}`, "--type=merge"],
  `--patch=${JSON.stringify({ data })}`,
];

t.test("three replicas at once on an empty cluster: one CA, and every pod is admitted", async (t) => {
  await register({ timeoutSeconds: 30 });
  t.strictSame(await bundle(), [], "the registration comes without a CA");
  const changes = watchSteps();
  webhooks = await Promise.all(ports.map((port) => installed.start({ port, tls: TLS })));
  await balancer.settled(ports);
  const certificates = await stored();
  t.strictSame(changes().map(textOf).sort(), ["make missing", "trust bundle-differs"], "one of three made them");
  t.strictSame(await bundle(), [certificates?.ca.cert]);
  for (const port of ports) t.equal((await served(port)).trim(), certificates?.leaf.cert.trim());
  const load = stream();
  await load.burst();
  t.ok((await load.end()) >= 30);
  t.strictSame(load.failures, []);

  await register({ timeoutSeconds: 29 });
  t.strictSame(await bundle(), [certificates?.ca.cert], "kubectl apply leaves caBundle");
  await register(
    { timeoutSeconds: 30, failurePolicy: "Fail" },
    "--server-side",
    "--force-conflicts",
    "--field-manager=helm",
  );
  t.strictSame(await bundle(), [certificates?.ca.cert], "and so does server-side apply, as helm does it");
  t.match(await get("mutatingwebhookconfiguration", HOOKS), { webhooks: [{ timeoutSeconds: 30 }] });
});

t.test("its token reads no other Secret, and makes none", async (t) => {
  const webhook = await connect("kubeconfig", {
    kubeconfigPath: await installed.kubeconfigFor("certificates.kubeconfig", controlPlane.url),
  });
  const signal = AbortSignal.timeout(20_000);
  const other = { apiVersion: "v1", kind: "Secret", metadata: { namespace: NAMESPACE, name: "other" } } as const;
  await t.rejects(webhook.get({ kind: "Secret", namespace: NAMESPACE, name: "other" }, signal), { code: 403 });
  await t.rejects(webhook.apply(other, signal), { code: 403 });
  await t.rejects(webhook.list("Secret", NAMESPACE, {}, signal), { code: 403 });
  const hooks = { kind: "MutatingWebhookConfiguration", namespace: "", name: "other" } as const;
  await t.rejects(webhook.get(hooks, signal), { code: 403 });
});

t.test("past the renewal of certificate and CA, under load: renewed, and no pod refused", async (t) => {
  // A Secret as it would be after nine months: the certificate is due in 10 s, its CA in 15 s.
  const now = Date.now();
  const ca = await makeCa(365 * DAY, now - (365 - 90) * DAY + SETTLE_S * 1000 + 15_000);
  const leaf = await makeLeaf(ca, ["127.0.0.1"], 90 * DAY, now - 60 * DAY + 10_000);
  const data = encodeData(toFiles({ ca, leaf, former: [], isRevoking: false }));
  await kubectl(patch(data));
  await until("every replica serves the Secret's certificate", isSettled, MINUTE);

  const changes = watchSteps();
  const load = stream();
  for (const step of ["issue near-expiry", "introduce near-expiry", "promote trusted"]) {
    await until(step, () => changes().map(textOf).includes(step), MINUTE);
    await load.burst();
  }
  await until("every replica serves the Secret's certificate", isSettled, MINUTE);
  await load.burst();
  const admitted = await load.end();
  t.comment(`${admitted} pods admitted while certificate and CA were renewed, ${load.failures.length} refused`);
  t.strictSame(load.failures, []);
  t.ok(admitted >= 120);
  const second = await stored();
  t.not(second?.ca.cert, ca.cert);
  t.strictSame(new Set(await bundle()), new Set([second?.ca.cert, ca.cert]), "both CAs are trusted");
  const wanted = ["introduce near-expiry", "issue near-expiry", "promote trusted", "trust bundle-differs"];
  t.strictSame(changes().map(textOf).sort(), wanted, "each once, by one of three");
  const text = await metrics();
  t.match(text, /flowgen_gateway_certificate_changes_total\{step="promote",reason="trusted"\} 1/);
  const ends = [second?.leaf.cert, second?.ca.cert].map(
    (pem) => new X509Certificate(pem ?? "").validToDate.getTime() / 1000,
  );
  t.match(text, `flowgen_gateway_certificate_expiry_timestamp_seconds ${ends[0]}`);
  t.match(text, `flowgen_gateway_certificate_ca_expiry_timestamp_seconds ${ends[1]}`);
});

const rubbish = Buffer.from("rubbish").toString("base64");
type Step = { readonly kind: StepKind; readonly reason: CertificateReason };
const damages: readonly (readonly [what: string, step: Step, args: readonly string[]])[] = [
  ["deleted", { kind: "restore", reason: "missing" }, ["delete", "secret", SECRET, `--namespace=${NAMESPACE}`]],
  [
    "overwritten with rubbish",
    { kind: "restore", reason: "unreadable" },
    patch(Object.fromEntries(["tls.crt", "tls.key", "ca.crt", "ca.key"].map((name) => [name, rubbish]))),
  ],
  ["with another key", { kind: "issue", reason: "key-mismatch" }, patch({ "tls.key": rubbish })],
];

for (const [what, { kind, reason }, args] of damages) {
  t.test(`the Secret ${what}, under load: mended within a minute, and reported in log, metric and Event`, async (t) => {
    const before = { ca: (await stored())?.ca.cert, events: new Set(await events()) };
    const changes = watchSteps();
    const load = stream();
    const started = performance.now();
    await kubectl(args);
    const step = `${kind} ${reason}`;
    await until(step, () => changes().map(textOf).includes(step), MINUTE);
    const seconds = (performance.now() - started) / 1000;
    if (kind === "restore") {
      await until("promote trusted", () => changes().map(textOf).includes("promote trusted"), MINUTE);
      t.not((await stored())?.ca.cert, before.ca, "another CA has taken over");
    }
    await until("every replica serves the Secret's certificate", isSettled, MINUTE);
    await load.burst();
    const admitted = await load.end();
    t.comment(`back after ${seconds.toFixed(1)} s; ${admitted} pods admitted, ${load.failures.length} refused`);
    t.ok(seconds < 60);
    t.strictSame(load.failures, []);
    const [line] = changes().filter((each) => textOf(each) === `${kind} ${reason}`);
    t.match(line, { level: "warn", detail: stepText({ kind, reason }) });
    const sample = `flowgen_gateway_certificate_changes_total\\{step="${kind}",reason="${reason}"\\} 1`;
    t.match(await metrics(), new RegExp(sample));
    const said = (await events()).filter((event) => !before.events.has(event));
    t.ok(said.includes(`Warning: ${stepText({ kind, reason })}`), said.join());
  });
}

t.test(
  "a path with a token: the API server calls it, an installer's apply keeps it, and no other path is answered",
  async (t) => {
    const [port = 0] = await freePorts(1);
    // A Service of a name outside the cluster sends the API server to this machine.
    await scene.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "by-name", namespace: NAMESPACE },
      spec: { type: "ExternalName", externalName: "localhost", ports: [{ port }] },
    });
    const clientConfig = { url: null, service: { name: "by-name", namespace: NAMESPACE, port } };
    await register({ clientConfig });
    const servername = `by-name.${NAMESPACE}.svc`;
    await Promise.all(webhooks.map(({ stop }) => stop()));
    webhooks = [];
    const replica = await installed.start({ port, tls: [...TLS, `--tls-names=${servername}`, "--own-path-token"] });
    t.teardown(replica.stop);
    const path = async (): Promise<string> => {
      type Hooks = {
        readonly webhooks: readonly { readonly clientConfig: { readonly service: { readonly path?: string } } }[];
      };
      const { webhooks: hooks } = await get<Hooks>("mutatingwebhookconfiguration", HOOKS);
      return hooks.map(({ clientConfig: { service } }) => service.path ?? "").join();
    };
    await until("the path has a token", async () => /^\/mutate\/[0-9a-f]{64}$/.test(await path()), MINUTE);
    const only = "reviews are taken by the path with the token only";
    await until(only, () => replica.log.some(({ msg }) => msg === only), MINUTE);
    const written = await path();
    const made = await scene.made(flowgenPod("team-a", "by-path", targets("mssql=10.0.0.5:1433")));
    t.equal(made.metadata.labels?.["target.flowgen.io/mssql"], "true");
    await register({ clientConfig });
    t.equal(await path(), written);
    const agent = new Agent({ ca: (await bundle()).join(""), servername });
    t.match(await send(`${replica.url}/mutate`, { agent, body: "{}" }), { status: 404, body: '{"error":"not found"}' });
  },
);
