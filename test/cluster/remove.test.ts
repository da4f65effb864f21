// `remove` on a real API server: it says first which live pods use the gateway, stops there, and needs break-glass.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { runCommand } from "../lab/control-plane/command.ts";
import { flowgenPod, GATEWAY, HOST, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";

const { controlPlane, installed, kubectl, list, made } = await startScene(t, { config: ONE_TUNNEL });
const webhook = await installed.start();
const without = join(controlPlane.folder, "without.yaml");
await writeFile(without, ONE_TUNNEL.replace(GATEWAY.name, "another"));
const known = join(controlPlane.folder, "known.yaml");
await writeFile(known, ONE_TUNNEL);

const REMOVER = "remover";
await breakGlass(kubectl, GATEWAY.namespace, REMOVER);
await kubectl(["create", "clusterrole", "pod-lister", "--verb=list", "--resource=pods"]);
await kubectl(["create", "clusterrolebinding", "pod-lister", "--clusterrole=pod-lister", `--user=${REMOVER}`]);
const remover = await controlPlane.signIn(REMOVER, { name: REMOVER });

const id = `${GATEWAY.namespace}/${GATEWAY.name}`;
const remove = (kubeconfig: string, config: string, ...more: readonly string[]) =>
  runCommand(["remove", id, "--cluster=kubeconfig", `--config=${config}`, ...more], kubeconfig);
const objects = async (): Promise<readonly string[]> =>
  (await list("services,deployments,networkpolicies,configmaps,secrets", `--namespace=${GATEWAY.namespace}`))
    .filter(
      ({ metadata }) => metadata.name?.startsWith(GATEWAY.name) === true || metadata.name === "wireguard-client-a",
    )
    .map(({ kind, metadata }) => `${kind} ${metadata.name ?? ""} ${metadata.resourceVersion ?? ""}`);

await kubectl(["create", "secret", "generic", "wireguard-client-a", `--namespace=${GATEWAY.namespace}`]);
await made(flowgenPod("team-a", "user", targets("db=10.0.0.5:5432"), { DB: "10.0.0.5:5432" }));
await made(flowgenPod("team-b", "other", targets("db=10.0.0.6:5432"), { DB: "10.0.0.6:5432" }));
// No replica makes it again.
t.equal(await webhook.stop(), 0);

t.test("live pods are named first, and nothing is written", async (t) => {
  const before = await objects();
  t.match(await remove(remover, known), { code: 2, err: /is a gateway of .*known\.yaml.*take it out of the config/ });
  const dry = await remove(remover, without, "--dry-run");
  t.match(dry, {
    code: 0,
    out: /^2 live pods use flowgen-gateway\/\S+: team-a\/user, team-b\/other\nwould delete Dep/,
  });
  t.match(await remove(remover, without), {
    code: 1,
    out: "2 live pods use flowgen-gateway/flowgen-wireguard-gateway: team-a/user, team-b/other\n",
    err: /^nothing was removed: .*--force/,
  });
  t.match(await remove(controlPlane.kubeconfig, without, "--force"), {
    code: 1,
    err: /is not deleted: it belongs to a gateway of flowgen-gateway-webhook, and running pods use its addresses; .*break-glass/,
  });
  t.strictSame(await objects(), before);
  t.ok(before.length >= 7, "Deployment, two Services, NetworkPolicy, two ConfigMaps, the Secret");
});

t.test("with --force, or without pods, all of it goes but the Secret; pods that use it keep their env", async (t) => {
  const { code, out, err } = await remove(remover, without, "--force");
  t.equal(code, 0, err);
  t.match(out.split("\n").slice(1, 2), [`deleted Deployment ${id}`]);
  t.match(out, /deleted ConfigMap flowgen-gateway\/flowgen-wireguard-gateway-forwards\n$/);
  t.match(await objects(), [/^Secret wireguard-client-a /]);
  t.equal((await objects()).length, 1);
  const pod = await kubectl([
    "get",
    "pod",
    "user",
    "--namespace=team-a",
    "-o",
    "jsonpath={.spec.containers[0].env[0].value}",
  ]);
  t.equal(pod, `${HOST}:5432`);
  t.match(await remove(remover, without), {
    code: 1,
    err: /^there is no gateway flowgen-gateway\/flowgen-wireguard-gateway/,
  });
});
