// The commands for an admin, as the pages write them. Each block runs in a shell on an empty cluster of its own, a real
// API server.
import { symlink, mkdir } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { parse } from "yaml";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import { findPrograms } from "../lab/control-plane/programs.ts";
import { type Block, blocks, type BlockCommand, commandsOf, readPage, runBlock } from "../readme-blocks.ts";
import { kubectl } from "../lab/control-plane/webhook.ts";
import { connectTo } from "../lab/control-plane/api.ts";
import { applyCrds } from "../lab/kubelet/crds.ts";
import { RELEASE } from "../lab/control-plane/helm.ts";

const { ca: CA } = await makeServingCertificate(["127.0.0.1"], 1, new Date());
const WEBHOOK = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${RELEASE}`;
const DEPLOYMENT = `/apis/apps/v1/namespaces/${RELEASE}/deployments/${RELEASE}`;

const PAGES = ["README.md", "deploy/function/README.md", "deploy/knative/README.md"];
const shellBlocks = PAGES.flatMap((page) =>
  blocks(readPage(page))
    .filter(({ language }) => language === "sh")
    .map((block): Block & { readonly page: string } => ({ ...block, page })),
);

/** An empty cluster, and a function that runs commands on it as their reader would. */
const startReader = async (t: Test, controllerManager: boolean) => {
  const controlPlane = await startControlPlane({ controllerManager });
  t.teardown(controlPlane.stop);
  await applyCrds((args, input = "") => kubectl(controlPlane, args, input));
  const api = connectTo(controlPlane);
  t.teardown(api.close);
  const bin = join(controlPlane.folder, "path");
  await mkdir(bin);
  const programs = await findPrograms(["helm"]);
  for (const program of ["helm", "kubectl"]) await symlink(join(programs, program), join(bin, program));
  const env = {
    PATH: `${bin}:${process.env["PATH"] ?? ""}`,
    HOME: controlPlane.folder,
    KUBECONFIG: controlPlane.kubeconfig,
  };
  const run = async (commands: readonly BlockCommand[]): Promise<void> => {
    for (const command of commands) {
      t.equal(command.runBy, "cluster", "no block mixes what has a cluster with what has none");
      const { code, stderr } = await runBlock(command, env);
      t.equal(code, command.code, `${command.text}: ${stderr}`);
      t.notMatch(stderr, /warning:/i);
    }
  };
  return { api, run };
};

for (const block of shellBlocks) {
  const commands = commandsOf(block);
  if (commands.every(({ runBy }) => runBy !== "cluster")) continue;
  t.test(`${block.page}, line ${block.line}: ${commands[0]?.text ?? ""}`, async (t) => {
    const { api, run } = await startReader(t, false);
    await run(commands);
    const registration = (await api.read(WEBHOOK)) as unknown as { webhooks: { failurePolicy: string }[] } | undefined;
    t.ok(registration, "the registration is there");
    if (block.page === "README.md")
      t.ok(
        registration?.webhooks.every(({ failurePolicy }) => failurePolicy === "Ignore"),
        "a first install is in audit mode: it refuses nothing",
      );
    t.equal((await api.read(DEPLOYMENT)) !== undefined, block.page === "README.md", "the Deployment, where pods serve");
    if (!commands.some(({ text }) => text.includes("tunnel-secret"))) return;
    t.ok(await api.read("/api/v1/namespaces/flowgen-gateway/secrets/wireguard-client-a"), "and the tunnel's Secret");
  });
}

t.test(
  "docs/operations.md: the objects of kustomize are deleted, the gateways stay, and the chart can take their place",
  async (t) => {
    const { api, run } = await startReader(t, true);
    await run(shellBlocks.flatMap(commandsOf).filter(({ text }) => text.startsWith("kubectl apply -k ")));
    t.ok(await api.read(WEBHOOK));
    const removal = blocks(readPage("docs/operations.md")).filter(({ text }) => text.startsWith("kubectl delete "));
    t.equal(removal.length, 1);
    await run(removal.flatMap(commandsOf));
    for (const gone of [WEBHOOK, `/api/v1/namespaces/${RELEASE}`]) t.equal(await api.read(gone), undefined, gone);
    for (const kind of [
      "admissionregistration.k8s.io/v1/validatingadmissionpolicies",
      "rbac.authorization.k8s.io/v1/clusterroles",
      "flowcontrol.apiserver.k8s.io/v1/flowschemas",
    ]) {
      const names = (await api.list(`/apis/${kind}`)).map(({ metadata }) => metadata.name);
      t.notOk(names.includes(RELEASE) || names.includes(`${RELEASE}-marks`), kind);
    }
    t.ok(await api.read("/api/v1/namespaces/flowgen-gateway"), "the gateways' namespace is there");
    const [install] = shellBlocks.flatMap(commandsOf).filter(({ text }) => text.startsWith("helm install "));
    t.ok(install);
    if (install) await run([{ ...install, text: `${install.text} --set gatewayNamespaces.create=false` }]);
    t.ok(await api.read(WEBHOOK));
  },
);

t.test(
  "docs/operations.md: the entry that the webhook owns caBundle of goes with its configuration only",
  async (t) => {
    const { api } = await startReader(t, false);
    const registration = parse(readPage("deploy/kustomize/base/webhook.yaml")) as { webhooks: readonly object[] };
    const apply = (manager: string, body: object) =>
      api.ask("PATCH", `${WEBHOOK}?fieldManager=${manager}`, body, "application/apply-patch+yaml");
    t.match(await apply("admin", registration), { status: 201 });
    const caBundle = Buffer.from(CA).toString("base64");
    const own = { ...registration, webhooks: [{ name: "pods.flowgen.io", clientConfig: { caBundle } }] };
    t.match(await apply("flowgen-gateway-webhook", own), { status: 200 });
    t.match(await apply("admin", { ...registration, webhooks: [] }), { status: 422 });
    t.match(await api.ask("DELETE", WEBHOOK), { status: 200 });
    t.match(await apply("admin", { ...registration, webhooks: [] }), { status: 201 });
  },
);
