// A gateway's objects may be written and deleted by the webhook, the controllers that clean up, and a user with the
// verb break-glass.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import type { Result } from "../lab/control-plane/kubectl.ts";
import { flowgenPod, GATEWAY, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";
import { eventually, until } from "../wait.ts";

const config = ONE_TUNNEL.replace("secretName: wireguard-client-a", "secretNames: [client-a, client-b]");
const scene = await startScene(t, { config });
const { controlPlane, installed, kubectl, get, list, create } = scene;
const webhook = await installed.start();
t.teardown(webhook.stop);

const { name, namespace } = GATEWAY;
let pods = 0;
const askFor = (target: string): Promise<Result> => create(flowgenPod("team-a", `asks-${++pods}`, targets(target)));
const first = await askFor("mssql=10.0.0.5:1433");
if (first.code !== 0) throw new Error(first.stderr);

type Checked = { readonly status?: { readonly typeChecking?: object } };
type Fields = { readonly spec?: object; readonly data?: object };
/** Every object of the gateway, as kubectl names it, and a change of what the webhook writes in it. */
const OBJECTS: Readonly<Record<string, Fields>> = {
  [`configmap/${name}-forwards`]: { data: { forwards: "1433 10.0.0.99 1433 wg0\n" } },
  [`configmap/${name}-scripts`]: { data: { "forward.sh": "exit 1" } },
  [`service/${name}`]: { spec: { sessionAffinity: "ClientIP" } },
  [`service/${name}-pods`]: { spec: { publishNotReadyAddresses: false } },
  [`deployment/${name}`]: { spec: { replicas: 0 } },
  [`deployment/${name}-b`]: { spec: { replicas: 2 } },
  [`poddisruptionbudget/${name}`]: { spec: { maxUnavailable: 0 } },
  [`networkpolicy/${name}`]: { spec: { ingress: [{}] } },
};
const KINDS = ["configmaps", "services", "deployments", "networkpolicies", "poddisruptionbudgets"];

/** Runs kubectl in the gateway's namespace; it may fail. */
const ask = (args: readonly string[], input: object = {}, env: NodeJS.ProcessEnv = {}): Promise<Result> =>
  controlPlane.kubectl([...args, `--namespace=${namespace}`], { input: JSON.stringify(input), env });
const patch = (object: string, body: object, ...more: readonly string[]): Promise<Result> =>
  ask(["patch", object, "--type=merge", `--patch=${JSON.stringify(body)}`, ...more]);
const read = (object: string): Promise<KubeObject & Fields> =>
  get<KubeObject & Fields>(object, `--namespace=${namespace}`);
const changed = (object: KubeObject & Fields, { spec, data }: Fields): KubeObject & Fields => ({
  ...object,
  ...(spec && { spec: { ...object.spec, ...spec } }),
  ...(data && { data: { ...object.data, ...data } }),
});
/** As a file has it: without what the API server adds. */
const asFile = ({ apiVersion, kind, metadata, spec, data }: KubeObject & Fields): object => ({
  ...{ apiVersion, kind, ...(spec && { spec }), ...(data && { data }) },
  metadata: { name: metadata.name, labels: metadata.labels, annotations: metadata.annotations },
});
/** The changes of every object that others may not make. */
const contents = async (): Promise<readonly object[]> =>
  (await list<KubeObject & Fields>(KINDS.join(), `--namespace=${namespace}`)).map((object) => asFile(object));

/** Asks until kubectl ends with this code: policies, bindings and controllers come into force a moment later. */
const ends = (code: number, asked: () => Promise<Result>): Promise<unknown> =>
  until(`exit code ${code}`, async () => (await asked()).code === code, 30_000);

const refused = (t: Test, { code, stderr }: Result, object: string, way: string): void => {
  const [kind, of] = object.split("/");
  t.equal(code, 1, `${way} ${object}`);
  t.match(stderr, new RegExp(`${kind} ${namespace}/${of} `, "i"), "the object is named");
  t.match(stderr, /act as a user with the verb break-glass on gateways\.flowgen\.io/, "the way past it is named");
};

t.test("the policies come into force, without a warning of the API server about their expressions", async (t) => {
  for (const [object, change] of Object.entries(OBJECTS))
    await ends(1, () => patch(object, change, "--dry-run=server"));
  for (const deployment of [name, `${name}-b`])
    await ends(1, () => ask(["scale", `deployment/${deployment}`, "--replicas=0", "--dry-run=server"]));
  for (const policy of ["gateway-objects", "gateway-scale"]) {
    const typeChecking = await eventually("the API server has checked the types", 30_000, async () => {
      const { status } = await get<Checked>("validatingadmissionpolicy", `flowgen-gateway-webhook-${policy}`);
      return status?.typeChecking;
    });
    t.strictSame(typeChecking, {}, policy);
  }
});

t.test("an admin with all rights is refused, with any option of kubectl", async (t) => {
  t.match(await ask(["auth", "can-i", "*", "*"]), { stdout: "yes\n" });
  const before = await contents();
  for (const [object, change] of Object.entries(OBJECTS)) {
    const now = await read(object);
    const other = changed(now, change);
    const file = join(controlPlane.folder, "edited.json");
    // kubectl edit reads no line of more than 64 KiB.
    await writeFile(file, JSON.stringify(other, undefined, 1));
    refused(t, await patch(object, change), object, "patch");
    refused(t, await ask(["apply", "-f", "-"], asFile(other)), object, "apply");
    const force = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    refused(t, await ask(force, asFile(other)), object, "apply --server-side");
    refused(t, await ask(force, asFile(now)), object, "apply --server-side of what is there already");
    refused(t, await ask(["replace", "-f", "-"], other), object, "replace");
    refused(t, await ask(["replace", "--force", "-f", "-"], asFile(other)), object, "replace --force");
    refused(
      t,
      await ask(["edit", object], {}, { KUBE_EDITOR: `cp ${file}`, TMPDIR: controlPlane.folder }),
      object,
      "edit",
    );
    refused(t, await ask(["delete", object, "--wait=false"]), object, "delete");
  }
  for (const kind of KINDS) t.match(await ask(["delete", kind, "--all", "--wait=false"]), { code: 1 }, `all ${kind}`);
  const collection = await ask(["delete", `--raw=/api/v1/namespaces/${namespace}/services`]);
  t.match(collection, { code: 1, stderr: /is not deleted/ }, "a collection, by one request");
  for (const each of [name, `${name}-b`]) {
    t.match(await ask(["scale", `deployment/${each}`, "--replicas=2"]), { code: 1, stderr: /keeps its number/ }, each);
    refused(t, await ask(["rollout", "restart", `deployment/${each}`]), `deployment/${each}`, "rollout restart");
  }
  refused(t, await patch(`configmap/${name}-forwards`, { immutable: true }), `configmap/${name}-forwards`, "lock");
  t.strictSame(await contents(), before);
});

t.test("metadata stays free, but for the marks of a gateway's object", async (t) => {
  for (const object of Object.keys(OBJECTS)) {
    const note = {
      labels: { team: "net" },
      annotations: { "example.com/note": "mine" },
      finalizers: ["example.com/x"],
    };
    t.match(await patch(object, { metadata: note }), { code: 0 }, object);
    t.match(await patch(object, { metadata: { finalizers: [] } }), { code: 0 }, object);
    const owner = { apiVersion: "v1", kind: "ConfigMap", name: "nobody", uid: "00000000-0000-0000-0000-000000000000" };
    const marks: Readonly<Record<string, object>> = {
      "its manager, taken away": { labels: { "app.kubernetes.io/managed-by": null } },
      "its manager, another": { labels: { "app.kubernetes.io/managed-by": "Helm" } },
      "its gateway": { labels: { "flowgen.io/gateway": "other" } },
      "what its gateway selects": { labels: { "app.kubernetes.io/instance": "other" } },
      "the table that it was made from": { annotations: { "flowgen.io/table": "other" } },
      "an owner that does not exist, with which it would be collected": { ownerReferences: [owner] },
    };
    for (const [what, metadata] of Object.entries(marks)) refused(t, await patch(object, { metadata }), object, what);
  }
  const status = ["--subresource=status"];
  const mark = { metadata: { labels: { "app.kubernetes.io/managed-by": "Helm" } } };
  for (const object of [`service/${name}`, `poddisruptionbudget/${name}`])
    refused(t, await patch(object, mark, ...status), object, "by its status");
  t.match(await askFor("other=10.0.0.6:5432"), { code: 0 }, "and the webhook writes them as before");
});

t.test("no user makes an object that looks like a gateway's", async (t) => {
  const labels = { "app.kubernetes.io/managed-by": "flowgen-gateway-webhook" };
  const spec = { selector: { app: "theirs" }, ports: [{ port: 80 }] };
  const theirs = { apiVersion: "v1", kind: "Service", metadata: { name: "theirs" }, spec };
  t.match(await ask(["create", "-f", "-"], theirs), { code: 0 });
  refused(t, await patch("service/theirs", { metadata: { labels } }), "service/theirs", "label");
  t.match(await patch("service/theirs", { spec: { sessionAffinity: "ClientIP" } }), { code: 0 }, "theirs stay theirs");
  t.match(await ask(["delete", "service", "theirs"]), { code: 0 });
  for (const where of [namespace, "team-a"]) {
    const table = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: `x-forwards`, namespace: where, labels } };
    t.match(await create(table), { code: 1, stderr: /x-forwards is not created: the label .* take the label away/ });
  }
});

t.test("a namespace's admin is refused, and so is a user with the verb by a wildcard", async (t) => {
  await kubectl(["create", "rolebinding", "ns-admin", "--clusterrole=admin", "--user=ns-admin", `-n=${namespace}`]);
  const rules = [
    { apiGroups: ["flowgen.io"], resources: ["gateways"], verbs: ["*"] },
    { apiGroups: [""], resources: ["services"], verbs: ["*"] },
  ];
  await scene.apply({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name: "all" },
    rules,
  });
  await kubectl(["create", "rolebinding", "wild", "--clusterrole=all", "--user=wild", `-n=${namespace}`]);
  for (const user of ["ns-admin", "wild"]) {
    await ends(0, () => ask(["auth", "can-i", "delete", "services", `--as=${user}`]));
    refused(t, await ask(["delete", "service", name, `--as=${user}`]), `service/${name}`, user);
  }
});

t.test(
  "a user with the verb break-glass may do all of it, in that namespace, until the binding is deleted",
  async (t) => {
    const as = await breakGlass(kubectl, namespace);
    const elsewhere = ["auth", "can-i", "update", "configmaps", "--namespace=team-a", as];
    t.match(await controlPlane.kubectl(elsewhere), { stdout: "no\n" });
    for (const [object, change] of Object.entries(OBJECTS)) {
      t.match(await patch(object, change, as), { code: 0 }, `patch ${object}`);
      t.match(await patch(object, { metadata: { labels: { "flowgen.io/gateway": "x" } } }, as), { code: 0 });
    }
    for (const each of [name, `${name}-b`])
      t.match(await ask(["scale", `deployment/${each}`, "--replicas=2", as]), { code: 0 });
    t.match(await askFor("third=10.0.0.7:5432"), { code: 0 }, "the webhook puts all of it right");
    // A Deployment whose controller has not observed the edit yet is left to the next look.
    for (const each of [name, `${name}-b`])
      await until(`${each} has one pod`, async () => {
        await askFor(`more=10.0.1.${pods}:5432`);
        const { spec } = await read(`deployment/${each}`);
        return (spec as { readonly replicas?: number }).replicas === 1;
      });
    t.match(await read(`poddisruptionbudget/${name}`), { spec: { maxUnavailable: 1 } });
    t.match(await read(`service/${name}-pods`), { spec: { publishNotReadyAddresses: true } });
    t.match(await ask(["delete", `networkpolicy/${name}`, as]), { code: 0 });
    await kubectl(["delete", "rolebinding", "break-glass", `--namespace=${namespace}`]);
    await ends(1, () => ask(["delete", "service", name, "--dry-run=server", as]));
  },
);

t.test("an object without its owner is collected", async (t) => {
  const as = await breakGlass(kubectl, namespace);
  await kubectl(["create", "configmap", "owner", `--namespace=${namespace}`]);
  const { uid } = (await read("configmap/owner")).metadata;
  const owned = { metadata: { ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }] } };
  t.match(await patch(`configmap/${name}-scripts`, owned, as), { code: 0 });
  await kubectl(["delete", "configmap", "owner", `--namespace=${namespace}`]);
  await t.resolves(ends(1, () => ask(["get", `configmap/${name}-scripts`])));
});

t.test("a namespace goes with the gateways in it", async (t) => {
  await kubectl(["delete", "namespace", namespace, "--wait=false"]);
  await t.resolves(ends(1, () => controlPlane.kubectl(["get", "namespace", namespace])));
});
