// Reviews from the API server's client certificate only. The API server gets one for webhooks by its
// AdmissionConfiguration, as docs/operations.md says. The webhook has the CA that signed it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { authority } from "../cluster-port/authority.ts";
import { mutate } from "../lab/control-plane/mutate.ts";
import { flowgenPod, startScene, targets } from "../lab/control-plane/scene.ts";

const folder = mkdtempSync(join(tmpdir(), "flowgen-callers-"));
t.teardown(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return join(folder, name);
};
const { ca, issue } = await authority("webhook callers");
const { cert, key } = await issue("kube-apiserver");
const user = { "client-certificate": file("client.crt", cert), "client-key": file("client.key", key) };
const kubeConfigFile = file(
  "webhooks.kubeconfig",
  // The webhook's Service in a cluster; here, where its address is made later, every webhook.
  JSON.stringify({ apiVersion: "v1", kind: "Config", users: [{ name: "*", user }] }),
);
const configuration = {
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "WebhookAdmissionConfiguration",
  kubeConfigFile,
};
const admission = file(
  "admission.yaml",
  JSON.stringify({
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AdmissionConfiguration",
    plugins: [{ name: "MutatingAdmissionWebhook", configuration }],
  }),
);
const scene = await startScene(t, {
  controllerManager: false,
  flags: { "kube-apiserver": [`--admission-control-config-file=${admission}`] },
});
const pod = (name: string): object =>
  flowgenPod("team-a", name, targets("mssql=10.0.0.5:1433"), { DB_HOST: "10.0.0.5" });

t.test("the API server's reviews are taken, a stranger's are not", async (t) => {
  const options = [`--client-ca=${file("ca.crt", ca)}`, "--client-name=kube-apiserver"];
  const webhook = await scene.installed.start({ options });
  t.teardown(webhook.stop);
  t.match(await scene.made(pod("known")), { metadata: { labels: { "target.flowgen.io/mssql": "true" } } });
  const stranger = await mutate(webhook.url, scene.installed.ca, pod("stranger"));
  t.match(stranger, { status: 403, message: /this caller presents none/ });
  t.match(await webhook.metrics(), /^flowgen_gateway_callers_total\{caller="api-server"\} [1-9]/m);
});

t.test("an API server whose certificate has another name: the refusal says so to the pod's creator", async (t) => {
  const options = [`--client-ca=${file("ca.crt", ca)}`, "--client-name=another"];
  const webhook = await scene.installed.start({ options });
  t.teardown(webhook.stop);
  const { code, stderr } = await scene.create(pod("refused"));
  t.not(code, 0);
  t.match(stderr, /presents that of kube-apiserver \(it is none of another\)/);
});
