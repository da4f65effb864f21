// The chart with certificates from elsewhere, installed on a real control plane. The test plays cert-manager: it acts
// on the chart's objects, which have minimal definitions here (crds.ts).
import t from "tap";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { HOST } from "../lab/control-plane/scene.ts";
import { minimalPod, documentedGateway, hostIn, TARGETS } from "../lab/kubelet/admissions.ts";
import { startCluster } from "../lab/kubelet/cluster.ts";
import { applyCrds } from "../lab/kubelet/crds.ts";
import { CHART, type RenderedObject, RELEASE } from "../lab/control-plane/helm.ts";
import { eventually } from "../wait.ts";

const cluster = await startCluster();
t.teardown(cluster.stop);
const { api, helm, kubectl } = cluster;
const values = { config: { gateways: [documentedGateway()] }, webhook: { url: cluster.webhookUrl } };
await applyCrds(kubectl);
for (const namespace of ["team-a", RELEASE]) await kubectl(["create", "namespace", namespace]);

const REGISTRATION = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${RELEASE}`;
type Registration = RenderedObject & {
  readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[];
};
const registration = (): Promise<Registration | undefined> => api.read<Registration>(REGISTRATION);
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const makeSecret = (name: string, { cert, key }: { readonly cert: string; readonly key: string }) =>
  api.ask("POST", `/api/v1/namespaces/${RELEASE}/secrets`, {
    apiVersion: "v1",
    kind: "Secret",
    type: "kubernetes.io/tls",
    metadata: { name },
    data: { "tls.crt": base64(cert), "tls.key": base64(key) },
  });
/** The outcome of an annotated pod, as soon as the API server takes one. */
const redirected = (): Promise<string | undefined> =>
  eventually("a pod is admitted", 20_000, async () => {
    const pod = minimalPod({ [TARGETS]: "mssql=10.0.0.5:1433" });
    const { status, body } = await api.ask("POST", "/api/v1/namespaces/team-a/pods?dryRun=All", pod);
    return status === 201 ? hostIn(body) : undefined;
  });

t.test("cert-manager: the pods wait for the Secret, and an upgrade keeps the CA in caBundle", async (t) => {
  const managed = { ...values, tls: { mode: "certManager" } };
  await helm(["install", RELEASE, CHART], managed);
  type Certificate = {
    readonly spec: { readonly secretName: string; readonly dnsNames: string[]; readonly ipAddresses: string[] };
  };
  const certificate = await api.read<Certificate>(
    `/apis/cert-manager.io/v1/namespaces/${RELEASE}/certificates/${RELEASE}`,
  );
  const { secretName = "", dnsNames = [], ipAddresses = [] } = certificate?.spec ?? {};
  t.strictSame([dnsNames, ipAddresses], [[`${RELEASE}.${RELEASE}.svc`], ["127.0.0.1"]]);
  t.match(await registration(), {
    metadata: { annotations: { "cert-manager.io/inject-ca-from": `${RELEASE}/${RELEASE}` } },
  });

  const made = await makeServingCertificate([...dnsNames, ...ipAddresses], 1, new Date());
  t.match(await makeSecret(secretName, made), { status: 201 });
  const caBundle = base64(made.ca);
  const inject = [{ op: "add", path: "/webhooks/0/clientConfig/caBundle", value: caBundle }];
  t.match(await api.ask("PATCH", REGISTRATION, inject, "application/json-patch+json"), { status: 200 });

  await helm(["upgrade", RELEASE, CHART, "--wait", "--timeout=240s"], { ...managed, logLevel: "debug" });
  t.equal((await registration())?.webhooks[0]?.clientConfig.caBundle, caBundle);
  t.equal(await redirected(), HOST);
  await helm(["uninstall", RELEASE, "--wait"]);
});

t.test("provided: a Secret and its CA", async (t) => {
  const made = await makeServingCertificate(["127.0.0.1"], 1, new Date());
  t.match(await makeSecret("mine", made), { status: 201 });
  const provided = { secretName: "mine", caBundle: made.ca };
  await helm(["install", RELEASE, CHART, "--wait", "--timeout=240s"], {
    ...values,
    tls: { mode: "provided", provided },
  });
  t.equal(await redirected(), HOST);
  const { stdout } = await cluster.controlPlane.kubectl([
    ...["auth", "can-i", "get", "secret/mine", `--namespace=${RELEASE}`],
    `--as=system:serviceaccount:${RELEASE}:${RELEASE}`,
  ]);
  t.equal(stdout, "no\n", "the webhook reads the file that is mounted, and may read no Secret");
});
