// A gateway of several identities on a real API server: its objects, and how its Deployments are changed one after another by several replicas. There
// is no node: this test starts the pods as a kubelet would, and the real controller of Deployments says which are available.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { healthOf } from "../../src/core/gateway/roll.ts";
import { connectTo, type ApiObject } from "../lab/control-plane/api.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { runCommand } from "../lab/control-plane/command.ts";
import { flowgenPod, GATEWAY, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";
import { eventually, until } from "../wait.ts";

const { name, namespace } = GATEWAY;
/** A config of that gateway; `more`: fields that replace its pods. */
const configOf = (identities: string, more = ""): string =>
  ONE_TUNNEL.replace("secretName: wireguard-client-a", identities).replace("tunnels:", `${more}\n    tunnels:`);
const TWO = configOf("secretNames: [a, b]");

const scene = await startScene(t, { config: TWO });
const { controlPlane, installed, kubectl, get, list, made } = scene;
const api = connectTo(controlPlane);
t.teardown(api.close);
const QUICK = ["--repair-seconds=1", "--reload-seconds=1"];
const replicas = [await installed.start({ options: QUICK })];
for (let more = 0; more < 2; more += 1) replicas.push(await installed.start({ port: 0, options: QUICK }));
t.teardown(() => Promise.all(replicas.map((replica) => replica.kill())));

const named = `--namespace=${namespace}`;
const configFile = join(controlPlane.folder, "webhook.yaml");
const use = (text: string): Promise<void> => writeFile(configFile, text);
type Deployment = ApiObject & {
  readonly spec: {
    readonly template: { readonly metadata: object; readonly spec: { readonly volumes: readonly Volume[] } };
  };
};
type Volume = { readonly name: string; readonly secret?: { readonly secretName: string } };
const deployments = (): Promise<readonly Deployment[]> =>
  api.list<Deployment>(`/apis/apps/v1/namespaces/${namespace}/deployments`);
const secretOf = ({ spec }: Deployment): string =>
  spec.template.spec.volumes.flatMap(({ secret }) => secret?.secretName ?? []).join();
/** `Deployment=Secret` of each. */
const bound = async (): Promise<string> =>
  [...(await deployments())]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .map((each) => `${each.metadata.name.replace(name, "gw")}=${secretOf(each)}`)
    .join(" ");
const tableData = async (): Promise<Readonly<Record<string, string>>> =>
  (await get<{ readonly data: Readonly<Record<string, string>> }>("configmap", `${name}-forwards`, named)).data;
const generations = async (): Promise<Readonly<Record<string, unknown>>> =>
  Object.fromEntries((await deployments()).map(({ metadata }) => [metadata.name, metadata.generation]));

/** Deployments whose pods do not become ready. */
const held = new Set<string>();
const pods = `/api/v1/namespaces/${namespace}/pods`;
type Started = ApiObject & { readonly status: { readonly phase: string } };
const startPod = async ({ metadata, status }: Started): Promise<void> => {
  const owner = metadata.name.replace(/-[^-]+-[^-]+$/, "");
  if (status.phase === "Running" || held.has(owner)) return;
  const condition = { type: "Ready", status: "True", lastTransitionTime: new Date().toISOString() };
  const running = { status: { phase: "Running", conditions: [condition] } };
  await api.ask("PATCH", `${pods}/${metadata.name}/status`, running, "application/strategic-merge-patch+json");
};
/** A kubelet's part: pods are ready a moment after they were made. */
let isOver = false;
const serveLoop = async (): Promise<void> => {
  while (!isOver) {
    await Promise.all((await api.list<Started>(pods)).map(startPod));
    await sleep(100);
  }
};
const serving = serveLoop();
t.teardown(async () => {
  isOver = true;
  await serving;
});

/** Every version of the gateway's Deployments, in order. A change while no other one served is recorded. */
const latest = new Map<string, ApiObject>();
const changes: string[] = [];
const faults: string[] = [];
const serves = (deployment: ApiObject): boolean => healthOf(deployment) === "serves";
const templateOf = ({ metadata }: ApiObject): string => metadata.annotations?.["flowgen.io/template"] ?? "";
await api.watch(`/apis/apps/v1/namespaces/${namespace}/deployments/`, (object, type) => {
  const { name: of } = object.metadata;
  const before = latest.get(of);
  if (type === "DELETED") latest.delete(of);
  else latest.set(of, object);
  if (before === undefined || (type !== "DELETED" && templateOf(before) === templateOf(object))) return;
  const others = [...latest].filter(([other]) => other !== of).map(([, each]) => each);
  const state = others.map((each) => `${each.metadata.name} ${healthOf(each)}`).join();
  changes.push(`${type === "DELETED" ? "removed" : "changed"} ${of}`);
  if (serves(before) && !others.every(serves)) faults.push(`${of} ${type} beside ${state}`);
});

/** All of the gateway's Deployments serve. */
const isServing = async (count: number): Promise<boolean> => {
  const all = await deployments();
  return all.length === count && all.every(serves);
};
const served = (count: number): Promise<number> => until(`${count} serve`, () => isServing(count), 60_000);

await made(flowgenPod("team-a", "first", targets("a=10.0.0.5:1433, b=10.0.0.6:1433")));
await served(2);

t.test("a Deployment and a Secret for each identity, and one of all else", async (t) => {
  t.equal(await bound(), "gw=a gw-b=b");
  const [first, second] = await deployments();
  const preferred = "preferredDuringSchedulingIgnoredDuringExecution";
  for (const each of [first, second])
    t.match(each, {
      spec: {
        replicas: 1,
        strategy: { type: "Recreate" },
        template: { spec: { affinity: { podAntiAffinity: { [preferred]: [{ weight: 100 }] } } } },
      },
    });
  const budgets = await list("poddisruptionbudgets", named);
  const common = {
    "app.kubernetes.io/component": "wireguard-gateway",
    "app.kubernetes.io/instance": name,
    "app.kubernetes.io/name": "flowgen",
  };
  t.match(budgets, [{ metadata: { name }, spec: { maxUnavailable: 1, selector: { matchLabels: common } } }]);
  t.equal(budgets.length, 1);
  const found = await list(
    "pods",
    named,
    `-l=${new URLSearchParams(common).toString().replaceAll("&", ",").replaceAll("%2F", "/")}`,
  );
  t.equal(found.length, 2, "the budget is of both pods");
  const services = await list("services", named);
  t.strictSame(services.map(({ metadata }) => metadata.name).sort(), [
    name,
    ...services.map(({ metadata }) => metadata.name ?? "").filter((each) => each.includes("-10-0-0-")),
    `${name}-pods`,
  ]);
  for (const { spec } of services as readonly (KubeObject & { readonly spec: { readonly selector: object } })[])
    t.strictSame(spec.selector, common, "each Service selects both");
  t.equal((await list("networkpolicies", named)).length, 1);
  t.equal((await tableData())["siblings"], `${name}\n${name}-b\n`);
});

/** Runs a change, and says which Deployments were changed by it, in order. The watch sees at least so many, a moment later. */
const changedBy = async (t: Test, change: () => Promise<unknown>, least = 0): Promise<readonly string[]> => {
  changes.length = 0;
  await change();
  await until("the watch sees the changes", () => changes.length >= least, 10_000);
  t.strictSame(faults, [], "no Deployment that served was changed while another one did not serve");
  return changes.map((each) => each.replace(name, "gw"));
};

t.test("another order of the identities changes nothing", async (t) => {
  const before = await generations();
  const changed = await changedBy(t, async () => {
    await use(configOf("secretNames: [b, a]"));
    await sleep(5000);
  });
  t.strictSame(changed, []);
  t.strictSame(await generations(), before);
  t.equal(await bound(), "gw=a gw-b=b");
});

t.test("n to n + 1 to n - 1: one Deployment comes or goes, and the others stay as they are", async (t) => {
  const before = await generations();
  t.strictSame(
    await changedBy(t, async () => {
      await use(configOf("secretNames: [a, b, c]"));
      await served(3);
    }),
    [],
  );
  t.equal(await bound(), "gw=a gw-b=b gw-c=c");
  t.match(await generations(), before);
  t.match(await tableData(), { siblings: `${name}\n${name}-b\n${name}-c\n` });
  t.strictSame(
    await changedBy(
      t,
      async () => {
        await use(configOf("secretNames: [c, a]"));
        await served(2);
      },
      1,
    ),
    ["removed gw-b"],
  );
  t.equal(await bound(), "gw=a gw-c=c", "each keeps its identity");
  t.match(await generations(), { [name]: before[name] });
  await until("the list of siblings", async () => (await tableData())["siblings"] === `${name}\n${name}-c\n`);
  t.strictSame(
    await changedBy(
      t,
      async () => {
        await use(configOf("secretNames: [a, d]"));
        await until("d is there", async () => (await bound()) === "gw=a gw-c=d", 60_000);
        await served(2);
      },
      1,
    ),
    ["changed gw-c"],
    "another identity goes to the Deployment that lost its own",
  );
  await use(configOf("secretName: a"));
  await served(1);
  await use(TWO);
  await served(2);
  t.equal(await bound(), "gw=a gw-b=b");
  t.match(await generations(), { [name]: before[name] });
  t.strictSame(faults, []);
});

t.test("a roll waits for each pod, and three replicas change one Deployment at a time", async (t) => {
  held.add(name).add(`${name}-b`);
  const restarts = (): number =>
    replicas.flatMap(({ log }) => log).filter(({ msg }) => msg === "gateway restarts").length;
  const before = restarts();
  const changed = await changedBy(t, async () => {
    await use(configOf("secretNames: [a, b]", "podAnnotations: {roll: one}"));
    await until("the first is changed", () => changes.length > 0, 30_000);
    await sleep(6000);
    t.equal(changes.length, 1, "while its pod is not available no other is changed");
    const [first = ""] = changes;
    held.delete(first.split(" ")[1] ?? "");
    await until("the second is changed", () => changes.length > 1, 30_000);
    held.clear();
    await served(2);
  });
  t.strictSame([...changed].sort(), ["changed gw", "changed gw-b"]);
  t.ok(restarts() - before >= 2, "each is announced before, by every replica that is about to change it");
});

t.test("a roll with edits by others in between, and with a replica that is killed in the middle", async (t) => {
  const as = await breakGlass(kubectl, namespace);
  const patch = (object: string, body: object): Promise<string> =>
    kubectl(["patch", object, named, as, "--type=merge", `--patch=${JSON.stringify(body)}`]);
  await changedBy(t, async () => {
    await use(configOf("secretNames: [a, b]", "podAnnotations: {roll: two}"));
    await until("the first is changed", () => changes.length > 0, 30_000);
    await replicas.pop()?.kill();
    const [, first = ""] = changes[0]?.split(" ") ?? [];
    const other = first === name ? `${name}-b` : name;
    await patch(`deployment/${other}`, {
      metadata: { annotations: { seen: "1" }, labels: { "flowgen.io/roll": "x" } },
    });
    await patch(`deployment/${first}`, { spec: { template: { metadata: { annotations: { theirs: "1" } } } } });
    await until("both are changed", () => changes.length > 1, 60_000);
    await served(2);
  });
  for (const each of await deployments()) t.match(each.spec.template.metadata, { annotations: { roll: "two" } });
});

t.test("one identity again, and two: the first pod is the same all the time", async (t) => {
  const podOf = async (): Promise<readonly (string | undefined)[]> =>
    (await list("pods", named)).map(({ metadata }) => metadata.uid);
  const one = "secretName: a";
  const roll = "podAnnotations: {roll: two}";
  const [first] = (await list("pods", named)).filter(
    ({ metadata }) => metadata.labels?.["flowgen.io/sibling"] === undefined,
  );
  t.strictSame(
    await changedBy(
      t,
      async () => {
        await use(configOf(one, roll));
        await served(1);
      },
      1,
    ),
    ["removed gw-b"],
  );
  const names = async (): Promise<readonly (string | undefined)[]> =>
    (await list("poddisruptionbudgets,services", named)).map(({ kind, metadata }) => `${kind} ${metadata.name ?? ""}`);
  await until("the budget goes", async () => !(await names()).some((each) => /Budget|-pods$/.test(each ?? "")), 30_000);
  t.equal((await tableData())["siblings"], undefined);
  t.strictSame(await podOf(), [first?.metadata.uid]);
  await use(configOf("secretNames: [a, b]", roll));
  await served(2);
  await until(
    "they are there again",
    async () => (await names()).filter((each) => /Budget|-pods$/.test(each ?? "")).length === 2,
  );
  t.ok((await podOf()).includes(first?.metadata.uid));
  t.strictSame(faults, []);
});

t.test("audit, check and inject know it", async (t) => {
  const run = (...args: readonly string[]) => runCommand([...args, `--config=${configFile}`], controlPlane.kubeconfig);
  for (const secret of ["a", "b"])
    await kubectl(["create", "secret", "generic", secret, named, `--from-literal=wg0.conf=PrivateKey = ${secret}`]);
  const pod = JSON.stringify(flowgenPod("team-b", "later", targets("a=10.0.0.5:1433")));
  const file = join(controlPlane.folder, "later.json");
  await writeFile(file, pod);
  const audited = await run("audit", "-f", file, "--cluster=kubeconfig");
  t.match(audited, { code: 0, out: /inject/ }, audited.err);
  const injected = await run("inject", "-f", file, "--gateway");
  const kinds = injected.out
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { readonly kind: string }).kind);
  t.equal(kinds.filter((kind) => kind === "Deployment").length, 2, injected.err);
  t.equal(kinds.filter((kind) => kind === "PodDisruptionBudget").length, 1);
  const findings = async (): Promise<string> => (await run("check")).out;
  t.match(await findings(), /its 2 pods are ready/);
  held.add(`${name}-b`);
  await kubectl(["delete", "pods", named, "-l", `flowgen.io/sibling=${name}-b`]);
  await until("one is down", async () => (await deployments()).some((each) => !serves(each)));
  t.match(
    await findings(),
    new RegExp(
      `sibling-down[\\s\\S]*Deployment ${namespace}/${name}-b|Deployment ${namespace}/${name}-b[\\s\\S]*sibling-down`,
    ),
  );
  held.clear();
  await served(2);
});

t.test("remove takes all of it", async (t) => {
  for (const replica of replicas.splice(0)) await replica.stop();
  const without = join(controlPlane.folder, "without.yaml");
  await writeFile(without, ONE_TUNNEL.replace(name, "another"));
  const id = `${namespace}/${name}`;
  const remover = await controlPlane.signIn("remover", { name: "remover" });
  await kubectl([
    "create",
    "rolebinding",
    "remover",
    "--clusterrole=flowgen-gateway-webhook-break-glass",
    "--user=remover",
    named,
  ]);
  await kubectl(["create", "clusterrole", "pod-lister", "--verb=list", "--resource=pods"]);
  await kubectl(["create", "clusterrolebinding", "pod-lister", "--clusterrole=pod-lister", "--user=remover"]);
  const left = await eventually("the gateway is removed", 20_000, async () => {
    const { code, err } = await runCommand(
      ["remove", id, "--cluster=kubeconfig", `--config=${without}`, "--force"],
      remover,
    );
    if (code !== 0) throw new Error(err);
    return list("deployments,services,networkpolicies,poddisruptionbudgets,configmaps", named);
  });
  t.strictSame(
    left.map(({ kind, metadata }) => `${kind} ${metadata.name ?? ""}`),
    ["ConfigMap kube-root-ca.crt"],
  );
});
