// The serving replicas repair changed and deleted objects of a gateway, without an admission. Without a difference they
// write nothing.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { METRICS_PORT } from "../../src/core/forwards/ports.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { flowgenPod, GATEWAY, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";
import { eventually, until } from "../wait.ts";

const scene = await startScene(t, { config: ONE_TUNNEL });
const { controlPlane, installed, kubectl, list, made } = scene;
/** Two replicas: they look at the same moments. */
const first = await installed.start({ options: ["--repair-seconds=1", "--reload-seconds=1"] });
t.teardown(first.stop);
const second = await installed.start({ port: 0, options: ["--repair-seconds=1", "--reload-seconds=1"] });
t.teardown(second.stop);
await made(flowgenPod("team-a", "first", targets("a=10.0.0.5:1433, b=10.0.0.6:1433")));

const { name, namespace } = GATEWAY;
const named = `--namespace=${namespace}`;
const as = await breakGlass(kubectl, namespace);
const KINDS = "services,deployments,networkpolicies,configmaps";
type Whole = KubeObject & { readonly data?: object; readonly spec?: Readonly<Record<string, unknown>> };
const objects = async (): Promise<readonly Whole[]> =>
  (await list<Whole>(KINDS, named)).filter(({ metadata }) => metadata.name !== "kube-root-ca.crt");

/** The webhook's fields. Pods find the gateway's own Service by its name, so its address may change. */
const contents = async (): Promise<readonly string[]> =>
  (await objects()).map(({ kind, metadata, data, spec }) => {
    const isOwn = kind === "Service" && metadata.name === name;
    const { labels, annotations: { "deployment.kubernetes.io/revision": _, ...annotations } = {} } = metadata;
    const addressless = isOwn && { clusterIP: undefined, clusterIPs: undefined };
    return JSON.stringify([kind, metadata.name, labels, annotations, data, { ...spec, ...addressless }]);
  });
const versions = async (): Promise<readonly string[]> =>
  (await objects()).map(
    ({ kind, metadata }) => `${kind} ${metadata.name ?? ""} ${metadata.uid ?? ""} ${metadata.resourceVersion ?? ""}`,
  );

const looks = async (): Promise<number> =>
  Number(/flowgen_gateway_repairs_total\{result="kept"\} (\d+)/.exec(await first.metrics())?.[1] ?? 0);
/** Two looks of a replica, between which nothing was written. */
const atRest = async (): Promise<readonly string[]> => {
  let before = await versions();
  let start = await looks();
  return eventually("the objects are at rest", 20_000, async () => {
    const now = await versions();
    if (now.join() !== before.join()) [before, start] = [now, await looks()];
    return (await looks()) >= start + 2 ? now : undefined;
  });
};

await atRest();
const before = await contents();
const host = (await objects()).find(({ metadata }) => metadata.name?.startsWith(`${name}-10-`))?.metadata.name ?? "";

t.test("without a difference nothing is written at any look", async (t) => {
  const rest = await versions();
  const start = await looks();
  await until("five looks", async () => (await looks()) >= start + 5);
  t.strictSame(await versions(), rest);
});

/** Every object, and a change of a field that the webhook writes. */
const DRIFT: Readonly<Record<string, object>> = {
  [`configmap/${name}-scripts`]: { data: { "forward.sh": "exit 1" } },
  [`configmap/${name}-forwards`]: { data: { forwards: "1433 10.0.0.99 1433 wg0\n" } },
  [`service/${name}`]: { spec: { selector: { app: "theirs" } } },
  [`service/${host}`]: { spec: { selector: { app: "theirs" } } },
  [`deployment/${name}`]: { spec: { replicas: 0, template: { spec: { automountServiceAccountToken: true } } } },
  [`networkpolicy/${name}`]: { spec: { ingress: [{}] } },
};

/** Waits until all is as it was. Returns how many milliseconds that took. */
const asBefore = (what: string): Promise<number> => {
  const difference = async (): Promise<string> => {
    const now = await contents();
    const lost = before.filter((each) => !now.includes(each));
    return [what, ...lost, "now:", ...now.filter((each) => !before.includes(each))].join("\n");
  };
  return until(difference, async () => (await contents()).join() === before.join(), 20_000);
};

for (const [object, change] of Object.entries(DRIFT)) {
  t.test(`${object} is changed, and deleted`, async (t) => {
    await kubectl(["patch", object, named, as, "--type=merge", `--patch=${JSON.stringify(change)}`]);
    t.comment(`changed, put right after ${await asBefore(`${object} is put right`)} ms`);
    // Pods hold the addresses that the table gave: it is not made anew.
    if (object.endsWith("-forwards")) return;
    await kubectl(["delete", object, named, as]);
    t.comment(`deleted, made again after ${await asBefore(`${object} is made again`)} ms`);
  });
}

t.test(
  "a target that is revoked is closed, and a pod that must be another is replaced, when the config changes",
  async (t) => {
    const file = join(controlPlane.folder, "webhook.yaml");
    /** Beside the rule for the metrics. */
    const rules = async (): Promise<number> => {
      type Rule = { readonly ports: readonly { readonly port: number }[] };
      const [policy] = await list<{ spec: { ingress?: readonly Rule[] } }>("networkpolicies", named);
      return (policy?.spec.ingress ?? []).filter(({ ports: [first] }) => first?.port !== METRICS_PORT).length;
    };
    t.equal(await rules(), 2);
    await writeFile(
      file,
      ONE_TUNNEL.replace("10.0.0.0/8", "10.0.0.5").replace("tunnels:", "nodeSelector: {a: b}\n    tunnels:"),
    );
    await until("the policy admits to one forward", async () => (await rules()) === 1, 20_000);
    const [deployment] = await list<{ spec: { template: { spec: object } } }>("deployments", named);
    t.match(deployment?.spec.template.spec, { nodeSelector: { a: "b" } });
    const restarts = [...first.log, ...second.log].filter(({ msg }) => msg === "gateway restarts");
    t.ok(restarts.length > 0);
    await atRest();
  },
);

t.test("a gateway that is not in the cluster is not made", async (t) => {
  await writeFile(
    join(controlPlane.folder, "webhook.yaml"),
    ONE_TUNNEL.replaceAll(name, "other").replace("wireguard-client-a", "wireguard-client-b"),
  );
  const start = await looks();
  await until("three looks", async () => (await looks()) >= start + 3);
  t.strictSame(
    (await objects()).filter(({ metadata }) => metadata.name?.startsWith("other")),
    [],
  );
});
