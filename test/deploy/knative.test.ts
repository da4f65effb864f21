// deploy/knative and deploy/function on a real API server, with the container of deploy/knative started as Knative
// does. Knative itself is played, after its documentation and source. Its Service has a minimal definition (crds.ts),
// and its own container's ports are taken in every pod. An activator ends TLS, and starts the pod when a request comes.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer as createHttpServer, request } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import t from "tap";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { GATEWAY, HOST } from "../lab/control-plane/scene.ts";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { minimalPod, hostIn, TARGETS } from "../lab/kubelet/admissions.ts";
import { connectTo } from "../lab/control-plane/api.ts";
import { type PlayedContainer, startContainer } from "../lab/kubelet/container.ts";
import { applyCrds } from "../lab/kubelet/crds.ts";
import { type RenderedObject, parseManifests, RELEASE } from "../lab/control-plane/helm.ts";
import { type PlayedPod, prepare } from "../lab/kubelet/pod.ts";
import { eventually, until } from "../wait.ts";

const controlPlane = await startControlPlane();
t.teardown(controlPlane.stop);
const api = connectTo(controlPlane);
t.teardown(api.close);
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const folderOf = (name: string): string => new URL(`../../deploy/${name}`, import.meta.url).pathname;
await applyCrds(kubectl);
for (const namespace of ["team-a", RELEASE, GATEWAY.namespace]) await kubectl(["create", "namespace", namespace]);

for (const folder of ["knative", "function"]) {
  t.test(`deploy/${folder} is taken strictly by a real API server`, async (t) => {
    const strictly = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", folderOf(folder)];
    const { code, stderr } = await controlPlane.kubectl(strictly);
    t.equal(code, 0, stderr);
    t.notMatch(stderr, /Warning/);
  });
  t.test(
    `deploy/${folder}: the chart's registration but for the URL, and no right to keep a certificate`,
    async (t) => {
      const objects = parseManifests(await kubectl(["kustomize", folderOf(folder)]));
      const chart = parseManifests(await kubectl(["kustomize", folderOf("kustomize/base")]));
      type Webhook = { readonly clientConfig: { readonly url?: string } };
      const webhooks = (manifests: readonly RenderedObject[]) =>
        manifests.find(({ kind }) => kind === "MutatingWebhookConfiguration")?.["webhooks"] as readonly Webhook[];
      const without = (all: readonly Webhook[]) =>
        JSON.stringify(all, (key, value: unknown) =>
          key === "clientConfig" || value === "knative-serving" ? null : value,
        );
      t.equal(without(webhooks(objects)).replace(",null]", "]"), without(webhooks(chart)));
      t.strictSame(
        webhooks(objects).map(({ clientConfig: { url = "" } }) => new URL(url).pathname.split("/")[1]),
        ["mutate", "warn"],
        "no webhook is called by a Service that is not there",
      );
      // The readers' role is bound to no user.
      const roles = objects.filter(
        ({ kind, metadata }) => /^(Cluster)?Role$/.test(kind) && !metadata.name.endsWith("-reader"),
      );
      const rights = roles.flatMap(({ rules }) =>
        (rules as { resources: string[] }[]).flatMap(({ resources }) => resources),
      );
      t.ok(rights.includes("configmaps"));
      for (const right of ["secrets", "mutatingwebhookconfigurations"]) t.notOk(rights.includes(right), right);
    },
  );
}

const TOKEN = randomBytes(32).toString("hex");
const { ca, cert, key } = await makeServingCertificate(["127.0.0.1"], 1, new Date());
const [port = 0] = await freePorts(1);
const url = `https://127.0.0.1:${port}/mutate/`;
await kubectl([
  "create",
  "secret",
  "generic",
  `${RELEASE}-path`,
  `--from-literal=token=${TOKEN}`,
  `--namespace=${RELEASE}`,
]);

/** As an admin edits the files: the URL, the token, the CA, and what else is asked for. */
const install = async (edit: (yaml: string) => string = (yaml) => yaml, token = TOKEN): Promise<void> => {
  const yaml = (await kubectl(["kustomize", folderOf("knative")])).replace(
    /url: https:\/\/.*REPLACE-WITH-THE-DOMAIN\/mutate\/REPLACE-WITH-THE-TOKEN/,
    `url: ${url}${token}\n    caBundle: ${Buffer.from(ca).toString("base64")}`,
  );
  await kubectl(["apply", "-f", "-"], edit(yaml));
};

// A loopback address of this test's own, for the manifest's ports as they are.
const host = `127.${1 + (process.pid % 254)}.${1 + Math.floor(Math.random() * 254)}.1`;
// Knative's queue-proxy, in every pod: its ports of the networking package (BackendHTTPPort and the following).
for (const taken of [8012, 8013, 8022, 8112, 9090, 9091]) {
  const proxy = createHttpServer().listen(taken, host);
  await once(proxy, "listening");
  t.teardown(() => proxy.close());
}

let pods = 0;
let container: PlayedContainer | undefined;
/**
 * The pod that Knative makes of the Service, made for real; its one container as a kubelet would start it, with what
 * the image says.
 */
const startPod = async (): Promise<PlayedContainer> => {
  const service = await api.read<{ spec: { template: { spec: PlayedPod["spec"] } } }>(
    `/apis/serving.knative.dev/v1/namespaces/${RELEASE}/services/${RELEASE}`,
  );
  const { containers, volumes, serviceAccountName } = service?.spec.template.spec as PlayedPod["spec"];
  const name = `revision-${++pods}`;
  const named = [{ ...containers[0], name: "user-container", readinessProbe: undefined }];
  const { status, body } = await api.ask("POST", `/api/v1/namespaces/${RELEASE}/pods`, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: RELEASE },
    spec: { containers: named, volumes, serviceAccountName },
  });
  if (status !== 201) throw new Error(String(body["message"]));
  const pod = body as unknown as PlayedPod;
  const [first] = pod.spec.containers;
  const image = { args: ["serve"], user: 65532, group: 65532 };
  const securityContext = { runAsUser: image.user, runAsGroup: image.group };
  const folder = join(controlPlane.folder, name);
  await mkdir(folder);
  const spec = await prepare(
    api,
    { ...pod, spec: { ...pod.spec, securityContext, containers: [{ ...first, args: image.args }] } },
    join(folder, "volumes"),
  );
  const { hostname, port } = new URL(controlPlane.url);
  const env = {
    ...spec.env,
    PORT: String(first.ports[0]?.containerPort),
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
    FLOWGEN_GATEWAY_HOST: host,
  };
  const started = await startContainer(join(folder, "root"), { ...spec, env });
  await until(`${name} is ready`, async () => {
    if (started.process.exitCode !== null) throw new Error(JSON.stringify(started.log));
    return (await fetch(`http://${host}:8080/readyz`).catch(() => undefined))?.ok === true;
  });
  return started;
};
/** No pod from now on. */
const scaleToZero = async (): Promise<number | null> => {
  if (container === undefined) return null;
  const exit = once(container.process, "exit") as Promise<[number | null]>;
  container.process.kill("SIGTERM");
  container = undefined;
  return (await exit)[0];
};
t.teardown(scaleToZero);

const activator = createServer({ cert, key }, (incoming, answer) => {
  void (async () => {
    container ??= await startPod();
    const { method, url: path, headers } = incoming;
    const forwarded = request({ host, port: 8080, method, path, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    incoming.pipe(forwarded);
  })().catch((error: unknown) => {
    console.error(String(error));
    answer.writeHead(503).end();
  });
});
await once(activator.listen(port, "127.0.0.1"), "listening");
t.teardown(() => activator.close().closeAllConnections());

const create = (targets: string) => {
  const pod = minimalPod({ [TARGETS]: targets });
  return controlPlane.kubectl(["create", "-o", "json", "-f", "-"], { input: JSON.stringify(pod) });
};
const whereTo = ({ stdout }: { readonly stdout: string }): string | undefined => hostIn(JSON.parse(stdout) as object);

/** The times of the webhook's start and of its first admission, from its log, in milliseconds. */
const ownMs = (log: PlayedContainer["log"]): { readonly startMs?: number; readonly ms?: number } => ({
  ...log.find(({ msg }) => msg === "serving"),
  ...log.find(({ msg }) => msg === "admission"),
});

t.test("as it stands, in audit mode: the first pod starts the webhook, which says what it would do", async (t) => {
  await install();
  const first = await eventually("a pod of the webhook starts", 20_000, async () => {
    const started = performance.now();
    const made = await create("mssql=10.0.0.5:1433");
    t.comment(`${Math.round(performance.now() - started)} ms`);
    return pods > 0 ? made : undefined;
  });
  t.equal(first.code, 0, first.stderr);
  t.equal(whereTo(first), "10.0.0.5");
  t.match(first.stderr, /Warning: .*flowgen-wireguard-gateway/);
  t.equal(pods, 1);
});

t.test(
  "in enforce mode, with no pod before and no rights but those of the folder: redirected, and the gateway is made",
  async (t) => {
    t.equal(await scaleToZero(), 0, "it ends in order");
    await install((yaml) => yaml.replace("mode: audit", "mode: enforce"));
    const started = performance.now();
    const made = await create("mssql=10.0.0.5:1433");
    const all = Math.round(performance.now() - started);
    t.equal(made.code, 0, made.stderr);
    t.equal(whereTo(made), HOST);
    t.equal(pods, 2);
    const { startMs = NaN, ms = NaN } = ownMs(container?.log ?? []);
    t.comment(
      `pod made in ${all} ms, the webhook's own: ${startMs} ms to its start, ${Math.round(ms)} ms to the answer`,
    );
    t.ok(
      startMs + ms < all,
      "the rest is the platform's: a pod is made and found ready, and the request goes through it",
    );
    t.ok(all < 10_000, "within the time that the API server waits");
    const deployment = `/apis/apps/v1/namespaces/${GATEWAY.namespace}/deployments/${GATEWAY.name}`;
    t.ok(await api.read(deployment));
  },
);

t.test("with another token the path does not exist", async (t) => {
  await install(undefined, "0".repeat(64));
  const refused = await eventually("a pod is refused", 20_000, async () => {
    const answer = await create("mssql=10.0.0.5:1433");
    return answer.code === 0 ? undefined : answer;
  });
  t.match(refused.stderr, /failed calling webhook.*(404|could not find|not found)/);
});
