// The commands of docs/runbooks.md, as they stand there and in their order, on a real API server beside a serving webhook.
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execFile } from "node:child_process";
import t from "tap";
import { parse } from "yaml";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import type { Pod } from "../../src/core/pod.ts";
import { findPrograms } from "../lab/control-plane/programs.ts";
import { flowgenDeployment, flowgenPod, GATEWAY, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";
import { MAIN } from "../program.ts";
import { type Block, blocks, readPage } from "../readme-blocks.ts";
import { eventually } from "../wait.ts";

const page = readPage("docs/runbooks.md");
const shell = blocks(page).filter(({ language, text }) => language === "sh" && !text.trim().startsWith("helm "));

const scene = await startScene(t, { config: ONE_TUNNEL });
const { controlPlane, installed, kubectl, get, list, create, apply, podsOf } = scene;
const quick = { options: ["--repair-seconds=1", "--reload-seconds=1"] };
let webhook = await installed.start(quick);
t.teardown(() => webhook.stop());

/** The reader's shell: kubectl and flowgen-gateway are on the path. */
const folder = join(controlPlane.folder, "reader");
await mkdir(join(folder, "bin"), { recursive: true });
await symlink(join(await findPrograms([]), "kubectl"), join(folder, "bin/kubectl"));
await writeFile(join(folder, "bin/flowgen-gateway"), `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`);
await chmod(join(folder, "bin/flowgen-gateway"), 0o755);
const env = {
  PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`,
  HOME: folder,
  KUBECONFIG: controlPlane.kubeconfig,
};
let done = 0;
/** Runs the page's next block, which must begin so; returns what it prints. */
const next = async (start: string, change: (text: string) => string = (text) => text): Promise<string> => {
  const { text, line } = shell[done++] as Block;
  if (!text.trim().startsWith(start)) throw new Error(`line ${line} of the page: ${text}`);
  return new Promise((resolve, reject) => {
    execFile("sh", ["-euc", change(text)], { cwd: folder, env }, (error, stdout) => {
      if (error) reject(new Error(error.message));
      else resolve(stdout);
    });
  });
};

const { name, namespace } = GATEWAY;
const named = `--namespace=${namespace}`;
const tableOf = async (gateway: string): Promise<string | undefined> =>
  (await get<{ readonly data: Record<string, string> }>("configmap", `${gateway}-forwards`, named)).data["table.json"];
const hostOf = (pod: Pod | undefined): string | undefined =>
  pod?.spec.containers[0]?.env?.find((each) => each.name === "MSSQL_HOST")?.value;

await apply(flowgenDeployment("team-a", "orders", 2, targets("mssql=10.0.0.5:1433"), { MSSQL_HOST: "10.0.0.5" }));
const [firstPod] = await podsOf("team-a", "orders", 2);

t.test("a tunnel's key is rotated", async (t) => {
  const conf = async (): Promise<string> => {
    const { data } = await get<{ readonly data: Record<string, string> }>("secret", "wireguard-client-a", named);
    return Buffer.from(data["wg0.conf"] ?? "", "base64").toString();
  };
  await writeFile(join(folder, "wg0.conf"), "[Interface]\nPrivateKey = one\n");
  await next("kubectl create secret");
  done -= 1;
  await writeFile(join(folder, "wg0.conf"), "[Interface]\nPrivateKey = two\n");
  await next("kubectl create secret");
  t.match(await conf(), /two/);
  await eventually("the gateway's pod", 20_000, async () => (await list("pods", named)).length > 0 || undefined);
  await next("kubectl annotate pods");
  const pods = await list("pods", named, "-l", `flowgen.io/gateway=${name}`);
  t.ok(pods.length > 0 && pods.every(({ metadata }) => metadata.annotations?.["example.com/refresh"]));
});

t.test("a table is backed up, lost with all of its gateway, and restored", async (t) => {
  await next("kubectl create rolebinding break-glass");
  const asBreaker = `--kubeconfig=${join(folder, "break-glass.kubeconfig")}`;
  await eventually(
    "break-glass is held",
    20_000,
    async () =>
      (await controlPlane.kubectl(["auth", "can-i", "delete", "services", named, asBreaker])).code === 0 || undefined,
  );
  await next("kubectl get configmap");
  const before = await tableOf(name);
  t.match(await readFile(join(folder, "forwards.yaml"), "utf8"), /table\.json/);
  await webhook.stop();
  await kubectl(["delete", "deployments,services,configmaps", "--all", named, asBreaker]);
  await next("kubectl apply -f forwards.yaml");
  webhook = await installed.start(quick);
  t.equal(await tableOf(name), before);
  for (const kind of ["service", "deployment", "networkpolicy"])
    await eventually(
      `${kind} is made again`,
      20_000,
      async () => (await list(kind, named)).some(({ metadata }) => metadata.name === name) || undefined,
    );
  const pod = await scene.made(
    flowgenPod("team-b", "after", targets("mssql=10.0.0.5:1433"), { MSSQL_HOST: "10.0.0.5" }),
  );
  t.equal(hostOf(pod), hostOf(firstPod), "a pod gets the address of before");
});

t.test("a gateway is renamed with the same key", async (t) => {
  const config = ONE_TUNNEL.replace(`name: ${name}`, "name: moved");
  await writeFile(join(controlPlane.folder, "webhook.yaml"), config);
  await writeFile(join(folder, "webhook-config.yaml"), config);
  const asks = (pod: string) => flowgenPod("team-b", pod, targets("mssql=10.0.0.5:1433"));
  let asked = 0;
  await eventually(
    "the new config refuses",
    20_000,
    async () => (await create(asks(`asks-${asked++}`))).stderr.includes("identity-held") || undefined,
  );
  const said = await next("kubectl get pods -A");
  t.match(said, /team-a +orders-[^]*deleted/i);
  // No node runs them, so that the restart goes no further than the first.
  const pods = await eventually("a pod of the new gateway", 30_000, async () => {
    const all = await list<Pod & KubeObject>("pods", "--namespace=team-a", "-l", "flowgen.io/gateway=moved");
    return all.length > 0 ? all : undefined;
  });
  t.match(hostOf(pods[0]), /^moved-10-0-0-5-\w+\.flowgen-gateway\.svc$/);
  const left = await list("services,deployments,networkpolicies,configmaps", named);
  t.strictSame(
    left.filter(({ metadata }) => metadata.name?.startsWith(name)),
    [],
  );
});

t.test("it is uninstalled for good", async (t) => {
  await webhook.stop();
  const instance = ["-l", "app.kubernetes.io/instance=flowgen-gateway-webhook"];
  const kinds =
    "mutatingwebhookconfiguration,validatingadmissionpolicybinding,validatingadmissionpolicy,clusterrolebinding,clusterrole";
  await kubectl(["delete", kinds, ...instance]); // as `helm uninstall` does
  await eventually("the policies are gone", 30_000, async () => {
    const { code } = await controlPlane.kubectl(["delete", "service", "moved", named, "--dry-run=server"]);
    return code === 0 || undefined;
  });
  await next("flowgen-gateway remove", (text) => text.replaceAll(`${namespace}/${name}`, `${namespace}/moved`));
  t.strictSame(await list("services,deployments,networkpolicies", named), []);
  await next("kubectl delete namespace");
  t.match(await controlPlane.kubectl(["get", "namespace", namespace]), { code: 1, stderr: /NotFound/ });
  t.equal(done, shell.length, "no block was left out");
});

t.test("the fields that GitOps must leave alone are in the registration", async (t) => {
  const yaml = blocks(page).filter(({ language }) => language === "yaml");
  const [argo, flux] = yaml.map(({ text }) => parse(text) as { readonly kind: string; readonly spec: object });
  const registration = parse(readPage("deploy/kustomize/base/webhook.yaml")) as {
    readonly webhooks: readonly { readonly clientConfig: object }[];
  };
  t.match(argo, { kind: "Application", spec: { ignoreDifferences: [{ kind: "MutatingWebhookConfiguration" }] } });
  t.match(flux, {
    kind: "HelmRelease",
    spec: {
      driftDetection: { ignore: [{ paths: registration.webhooks.map((_, at) => `/webhooks/${at}/clientConfig`) }] },
    },
  });
  t.ok(registration.webhooks.every(({ clientConfig }) => "service" in clientConfig));
});
