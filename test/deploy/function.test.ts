// deploy/function on a real API server: the handler with the account's token, as its README says. A server passes
// requests to it as events of a Function URL.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import t from "tap";
import { createHandler } from "../../src/commands/serve/function.ts";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { example, GATEWAY, HOST } from "../lab/control-plane/scene.ts";
import { kubeconfigOf, kubectl as run } from "../lab/control-plane/webhook.ts";
import { minimalPod, hostIn, TARGETS } from "../lab/kubelet/admissions.ts";
import { connectTo } from "../lab/control-plane/api.ts";
import { RELEASE } from "../lab/control-plane/helm.ts";
import { eventually } from "../wait.ts";
import { root } from "../program.ts";

const controlPlane = await startControlPlane();
t.teardown(controlPlane.stop);
const api = connectTo(controlPlane);
t.teardown(api.close);
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);

const TOKEN = randomBytes(32).toString("hex");
const { ca, cert, key } = await makeServingCertificate(["127.0.0.1"], 1, new Date());
const [port = 0] = await freePorts(1);
const yaml = await kubectl(["kustomize", join(root, "deploy/function")]);
const url = `https://127.0.0.1:${port}/mutate/${TOKEN}`;
const registered = `url: ${url}\n    caBundle: ${Buffer.from(ca).toString("base64")}`;
await kubectl(["apply", "-f", "-"], yaml.replace(/url: .*REPLACE-WITH-THE-TOKEN/, registered));
await kubectl(["create", "namespace", "team-a"]);

const account = { "kubernetes.io/service-account.name": RELEASE };
const metadata = { name: "function", namespace: RELEASE, annotations: account };
const secret = { apiVersion: "v1", kind: "Secret", type: "kubernetes.io/service-account-token", metadata };
await kubectl(["create", "-f", "-"], JSON.stringify(secret));
const token = await eventually("the ServiceAccount's token", 20_000, async () => {
  const made = await api.read<{ data?: { token?: string } }>(`/api/v1/namespaces/${RELEASE}/secrets/function`);
  return made?.data?.token;
});
const kubeconfig = join(controlPlane.folder, "function.kubeconfig");
const user = { token: Buffer.from(token, "base64").toString() };
await writeFile(kubeconfig, kubeconfigOf(controlPlane.url, controlPlane.ca, user));
process.env["KUBECONFIG"] = kubeconfig;
const handler = await createHandler(
  { FLOWGEN_GATEWAY_CONFIG_YAML: example("webhook-config.yaml"), FLOWGEN_GATEWAY_PATH_TOKEN: TOKEN },
  pino({ level: "silent" }),
);

const recorded = join(root, "test/fixtures/function/recorded/function-url.serverless-aws-lambda.json");
const event = readFileSync(recorded, "utf8");
const platform = createServer({ cert, key }, (request, answer) => {
  void (async () => {
    const [rawPath, rawQueryString] = (request.url ?? "").split("?");
    const { headers } = request;
    const body = await text(request);
    const { statusCode, ...said } = await handler(
      { ...(JSON.parse(event) as object), rawPath, rawQueryString, headers, body },
      {},
    );
    answer.writeHead(statusCode, said.headers).end(said.body);
  })();
});
await once(platform.listen(port, "127.0.0.1"), "listening");
t.teardown(() => platform.close().closeAllConnections());

t.test("a pod is redirected and the gateway is made, with the account's rights alone", async (t) => {
  const pod = minimalPod({ [TARGETS]: "mssql=10.0.0.5:1433" });
  const { body } = await eventually("a pod is admitted", 20_000, async () => {
    const answer = await api.ask("POST", "/api/v1/namespaces/team-a/pods", pod);
    return answer.status === 201 ? answer : undefined;
  });
  t.equal(hostIn(body), HOST);
  t.ok(await api.read(`/apis/apps/v1/namespaces/${GATEWAY.namespace}/deployments/${GATEWAY.name}`));
});
