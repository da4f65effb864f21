// Services of hosts' own on a real API server: one for each host, with any number of replicas that allocate it or are
// killed. A deleted one gets its addresses again.
import t, { type Test } from "tap";
import { stringify } from "yaml";
import { connect } from "../../src/cluster/kubernetes.ts";
import { runReconcile as reconcile } from "../../src/commands/upkeep/reconcile.ts";
import { readTable } from "../../src/core/forwards/format.ts";
import { configOf } from "../making.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { startFaultyApiServer } from "../lab/control-plane/faulty-api-server.ts";
import { type MutateAnswer, mutate } from "../lab/control-plane/mutate.ts";
import { freePorts } from "../lab/control-plane/ports.ts";
import { flowgenPod, GATEWAY, type Scene, startScene } from "../lab/control-plane/scene.ts";
import type { Webhook } from "../lab/control-plane/webhook.ts";

const REPLICAS = 3;
/** More than a gateway takes writes until its first pod is answered. */
const MOST_WRITES = 20;
const gateway = (name: string): object => ({
  name,
  namespace: GATEWAY.namespace,
  tunnels: [{ name: "wg0", secretName: `wireguard-${name}`, allowedTargets: ["*.corp.example.com"] }],
});
const fresh = (number: number): string => `fresh-${number}`;
const config = stringify({
  redirect: "auto",
  defaultGateway: GATEWAY.name,
  gateways: [gateway(GATEWAY.name), ...Array.from({ length: MOST_WRITES }, (_, number) => gateway(fresh(number)))],
});
const named = `--namespace=${GATEWAY.namespace}`;

type Entry = { readonly ip: string; readonly hostnames: readonly string[] };
type Service = {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly clusterIPs: readonly string[] };
};
type ServiceEntry = { readonly name: string; readonly clusterIPs: readonly string[] };

const hostOf = (label: string): string => `${label}.corp.example.com`;
const led = (name: string, label: string, via: string = GATEWAY.name): object =>
  flowgenPod("team-a", name, {
    "flowgen.io/private-targets": `${label}=${hostOf(label)}:1433`,
    "flowgen.io/gateway": via,
  });
/** The addresses to which a pod's hostAliases map the name. */
const mapped = (entries: readonly Entry[], label: string): readonly string[] =>
  entries.filter(({ hostnames }) => hostnames.includes(hostOf(label))).map(({ ip }) => ip);
const aliasesIn = ({ operations }: MutateAnswer): readonly Entry[] =>
  operations.flatMap((operation) =>
    operation.op === "add" && operation.path === "/spec/hostAliases/-" ? [operation.value as Entry] : [],
  );

const lookInto = ({ get, list, made }: Scene) => ({
  /** The host's place in the table; the Services that are annotated with the host. */
  look: async (
    label: string,
    via: string = GATEWAY.name,
  ): Promise<{ table: readonly ServiceEntry[]; services: readonly ServiceEntry[] }> => {
    const { data } = await get<{ data: Record<string, string> }>("configmap", `${via}-forwards`, named);
    const read = readTable(data["table.json"] ?? "", via);
    if (read.kind !== "table") throw new Error(JSON.stringify(read));
    const places = read.table.services.filter(({ host }) => host === hostOf(label));
    const services = await list<Service>("services", named);
    return {
      table: places.map(({ name, clusterIPs }) => ({ name, clusterIPs })),
      services: services
        .filter(({ metadata }) => metadata.name.startsWith(`${via}-${label}-`))
        .map(({ metadata: { name }, spec: { clusterIPs } }) => ({ name, clusterIPs })),
    };
  },
  /** The addresses that a pod has which the API server made. */
  create: async (name: string, label: string, via: string = GATEWAY.name): Promise<readonly string[]> => {
    const { spec } = await made(led(name, label, via));
    return mapped((spec.hostAliases ?? []) as readonly Entry[], label);
  },
});

/** One Service, and the table and every pod have its addresses. */
const isOne = (
  t: Test,
  given: readonly (readonly string[])[],
  { table, services }: { readonly table: readonly ServiceEntry[]; readonly services: readonly ServiceEntry[] },
): void => {
  t.equal(services.length, 1, "one Service");
  t.strictSame(table, services, "the table has its name and addresses");
  const wanted = services[0]?.clusterIPs;
  t.strictSame(new Set(given.map(String)), new Set([String(wanted)]), `${given.length} pods have them`);
};

t.test("one address family, three replicas", async (t) => {
  const scene = await startScene(t, { controllerManager: false, config });
  const { installed, kubectl, controlPlane } = scene;
  const { look, create } = lookInto(scene);
  const ports = await freePorts(REPLICAS - 1);
  // The API server asks the first; the test asks all of them.
  const webhooks = await Promise.all([{}, ...ports.map((port) => ({ port }))].map(installed.start));
  for (const webhook of webhooks) t.teardown(webhook.stop);
  const [first] = webhooks as [Webhook];
  const asBreaker = await breakGlass(kubectl, GATEWAY.namespace);
  const ask = async ({ url }: Webhook, label: string, via?: string): Promise<readonly string[]> => {
    const admitted = await mutate(url, installed.ca, led("asks", label, via), 30);
    if (!admitted.isAllowed) throw new Error(`${label}: ${admitted.message}`);
    return mapped(aliasesIn(admitted), label);
  };
  const askAll = (label: string, via?: string) => Promise.all(webhooks.map((webhook) => ask(webhook, label, via)));

  await t.test("three replicas that allocate a host at the same moment make one Service", async (t) => {
    const labels = Array.from({ length: 15 }, (_, number) => `once${number}`);
    for (const label of labels.slice(0, 5)) isOne(t, await askAll(label), await look(label));
    const together = await Promise.all(labels.slice(5).map((label) => askAll(label)));
    for (const [at, label] of labels.slice(5).entries()) isOne(t, together[at] ?? [], await look(label));
  });

  await t.test(
    "a replica is killed before each of the writes for a new gateway; the others serve its pod",
    async (t) => {
      const faulty = await startFaultyApiServer(controlPlane);
      t.teardown(faulty.close);
      const kubeconfig = await installed.kubeconfigFor("faulty.kubeconfig", faulty.url, undefined, faulty.ca);
      let survived = -1;
      for (let number = 0; number < MOST_WRITES && survived < 0; number += 1) {
        const victim = await installed.start({ kubeconfig, port: 0 });
        const [label, via] = [`kill${number}`, fresh(number)];
        let writes = 0;
        let killed: Promise<void> | undefined;
        faulty.set((method) => {
          if (method === "GET" || writes++ < number) return { kind: "pass" };
          killed ??= victim.kill();
          return { kind: "reset" };
        });
        const answer = await ask(victim, label, via).catch(() => undefined);
        if (killed === undefined) {
          t.ok(answer, `${writes} writes, and none was left to be killed at`);
          survived = number;
        } else t.equal(answer, undefined, `killed after ${number} writes`);
        await (killed ?? victim.stop());
        const given = await askAll(label, via);
        isOne(t, [...given, await create(`led-${number}`, label, via)], await look(label, via));
      }
      t.ok(
        survived >= 7,
        `${survived} writes: two of the table, the scripts, the Deployment, two Services, the policy`,
      );
    },
  );

  await t.test("a deleted Service of a host is made again, with its address, at the next admission", async (t) => {
    const before = await create("holder", "deleted");
    const [{ name } = { name: "" }] = (await look("deleted")).services;
    await kubectl(["delete", "service", name, named, asBreaker]);
    t.equal((await look("deleted")).services.length, 0);
    await ask(first, "reads-the-table-anew");
    isOne(t, [before, await create("later", "deleted")], await look("deleted"));
  });

  await t.test(
    "its address was given to another Service: it gets another one, and the pods that hold the former one are named",
    async (t) => {
      const [lost = ""] = await create("stranded", "taken");
      const [{ name } = { name: "" }] = (await look("taken")).services;
      await kubectl(["delete", "service", name, named, asBreaker]);
      await kubectl([
        "create",
        "service",
        "clusterip",
        "thief",
        "--namespace=team-b",
        "--tcp=80",
        `--clusterip=${lost}`,
      ]);
      await ask(first, "reads-the-table-again");
      const now = await create("newcomer", "taken");
      t.not(String(now), lost);
      isOne(t, [now], await look("taken"));
      const [line] = first.log.filter(({ msg }) => String(msg).startsWith("Service made again with other addresses"));
      t.match(line, { level: "error", service: name, host: hostOf("taken"), clusterIPs: [lost] });
      const [selector = ""] = line?.["holders"] as readonly string[];
      t.match(await kubectl(["get", "pods", "-A", "-l", selector, "-o", "name"]), "pod/stranded");
      const [event] = await scene.list<{ message: string }>("events", named, "--field-selector=reason=AddressLost");
      t.match(event, { involvedObject: { kind: "Service", name }, message: `kubectl get pods -A -l ${selector}` });
      let out = "";
      const output = { out: (part: string) => void (out += part), err: () => undefined };
      const cluster = await connect("kubeconfig", { kubeconfigPath: controlPlane.kubeconfig });
      await reconcile({ dryRun: true }, { config: configOf(config), cluster, output, now: Date.now });
      const found = [...out.matchAll(/^address-lost: Pod (\S+): /gm)].map(([, pod]) => pod);
      t.strictSame(found, ["team-a/stranded"], "by reconcile each pod that holds it, and no other");
    },
  );
});

t.test(
  "two address families: an entry for each, back after a deletion, and stand-ins for both in a dry run",
  async (t) => {
    const flags = { "kube-apiserver": ["--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112"] };
    const scene = await startScene(t, { controllerManager: false, config, flags });
    const { kubectl, installed } = scene;
    const { look, create } = lookInto(scene);
    const webhook = await installed.start();
    t.teardown(webhook.stop);
    const asBreaker = await breakGlass(kubectl, GATEWAY.namespace);
    const before = await create("dual", "dual");
    t.match(before, [/^10\.96\./, /^fd00:10:96::/]);
    isOne(t, [before], await look("dual"));
    const [{ name } = { name: "" }] = (await look("dual")).services;
    await kubectl(["delete", "service", name, named, asBreaker]);
    await create("other", "other");
    isOne(t, [before, await create("later", "dual")], await look("dual"));
    const { stdout, stderr } = await scene.create(led("dry", "dry"), "--dry-run=server", "-o", "json");
    const { spec } = JSON.parse(stdout) as { spec: { hostAliases: readonly Entry[] } };
    t.strictSame(mapped(spec.hostAliases, "dry"), ["192.0.2.1", "2001:db8::1"]);
    t.match(stderr, "dry: 192.0.2.1, 2001:db8::1 stands for the address that its Service gets");
    t.equal((await look("dry")).services.length, 0, "nothing is made");
  },
);
