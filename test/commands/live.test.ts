/**
 * `--cluster kubeconfig`: the answers are those of the webhook beside the same forward table, and the cluster is only
 * read.
 */
import t, { type Test } from "tap";
import { admit } from "../../src/admit.ts";
import { audit } from "../../src/commands/audit/audit.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import type { Pod } from "../../src/core/pod.ts";
import type { InjectOptions } from "../../src/commands/inject/inject.ts";
import { version } from "../../src/files.ts";
import { readStream } from "../../src/manifests/stream.ts";
import { writeKubeconfig, listen, overMemory, reply, status } from "../cluster-port/loopback.ts";
import { setEnv } from "../environment.ts";
import { configOf } from "../making.ts";
import { CONFIG, deployment, documentsOf, files, GATEWAY_HOST, injected, namedPod, other } from "./injecting.ts";

const plain = { "insecure-skip-tls-verify": true };

/** Runs in a subtest, which has a folder of its own: the kubeconfig stands in the test's. */
const run = async (t: Test, options: Partial<InjectOptions> = {}, text = other) => {
  let ended: Awaited<ReturnType<typeof injected>> | undefined;
  await t.test("run", async (t) => {
    ended = await injected(t, text, CONFIG, { cluster: "kubeconfig", ...options });
  });
  return ended ?? { code: -1, out: "", err: "" };
};

/** A cluster whose webhook has admitted `deployment`, and the methods of the requests that came since. */
const liveCluster = async (t: Test) => {
  const { memory, answer } = overMemory();
  const provision = createProvisioner(memory, { scripts: loadScripts() });
  const admitted = async (text: string) => {
    const [workload] = readStream(text, "text", "team-a").workloads;
    if (workload === undefined) throw new Error("no workload");
    const { pod, namespace } = workload;
    const signal = () => AbortSignal.timeout(5000);
    return admit({ pod, namespace, dryRun: false, signal }, { config: configOf(CONFIG), provision, version });
  };
  await admitted(deployment);
  const methods: string[] = [];
  const server = await listen((request, response) => {
    methods.push(request.method ?? "");
    answer(request, response);
  });
  t.teardown(server.close);
  setEnv(t, { ...process.env, KUBECONFIG: writeKubeconfig(t, { server: server.url, ...plain }) });
  return { memory, methods, admitted };
};

t.test("inject", async (t) => {
  const { memory, methods, admitted } = await liveCluster(t);
  const before = memory.all();
  const { code, out, err } = await run(t);
  t.strictSame([code, err], [0, ""]);
  t.strictSame([...new Set(methods)], ["GET"], "nothing is written");
  t.strictSame(memory.all(), before, "no object of the gateway has another version");
  const [document] = documentsOf(out);
  const { operations } = await admitted(other);
  const status = operations.find(({ path }) => path.endsWith("gateway-status"));
  t.match(document, { spec: { template: { metadata: { annotations: { "flowgen.io/gateway-status": String } } } } });
  t.ok(status && "value" in status && out.includes(String(status.value)), "the webhook gives the same");
  t.not((await injected(t, other)).out, out, "an empty table gives another answer");
});

t.test(
  "inject: hostAliases hold the Services' addresses, or nothing is printed until the Services are there",
  async (t) => {
    const { admitted, memory } = await liveCluster(t);
    const led = namedPod("sql.corp.example.com");
    const refused = await run(t, { gateway: true }, led);
    t.match(refused, { code: 1, err: /address-unknown: sql\.corp\.example\.com: .* --gateway/ });
    for (const object of documentsOf(refused.out)) await memory.apply(object as KubeObject, AbortSignal.timeout(5000));
    const { code, out } = await run(t, {}, led);
    t.equal(code, 0, "the objects that were printed have been applied");
    const [{ spec } = {}] = documentsOf(out);
    const [service] = memory.all().filter(({ metadata }) => metadata.name?.includes("-sql-"));
    const { clusterIPs } = service?.["spec"] as { clusterIPs: readonly string[] };
    t.strictSame((spec as Pod["spec"]).hostAliases, [{ ip: clusterIPs[0], hostnames: ["sql.corp.example.com"] }]);
    t.strictSame(await run(t, {}, out), { code: 0, out, err: "" }, "a second run changes nothing");
    t.match(await admitted(out), { outcome: "skip", reason: "unchanged" }, "and neither does the webhook");
  },
);

t.test("inject --gateway: the forwards of running pods stay", async (t) => {
  const { admitted, memory } = await liveCluster(t);
  const { out } = await run(t, { gateway: true });
  const forwards = (objects: readonly unknown[]): unknown =>
    (objects as { kind: string; data?: { forwards?: string } }[]).find(({ data }) => data?.forwards !== undefined)?.data
      ?.forwards;
  await admitted(other);
  t.strictSame(forwards(documentsOf(out)), forwards(memory.all()), "the table that the webhook makes");
});

t.test("inject --gateway: a further identity is one more Deployment beside the one that runs", async (t) => {
  await liveCluster(t);
  const two = CONFIG.replace(/secretName: (\S+?)([,\s])/, "secretNames: [$1, another]$2");
  let out = "";
  await t.test("run", async (t) => {
    ({ out } = await injected(t, other, two, { cluster: "kubeconfig", gateway: true }));
  });
  type Printed = { readonly kind: string; readonly metadata: { readonly name: string }; readonly spec?: object };
  const objects = documentsOf(out) as unknown as readonly Printed[];
  const printed = objects.filter(({ kind, metadata }) => kind === "Deployment" && metadata.name.includes("gateway"));
  t.match(
    printed.map(({ metadata, spec }) => [metadata.name, spec]),
    [["flowgen-wireguard-gateway-b", { strategy: { type: "Recreate" } }]],
    "and no note on the other one",
  );
});

t.test("audit", async (t) => {
  await liveCluster(t);
  let out = "";
  const output = {
    out: (more: string) => void (out += more),
    err: (more: string) => void t.match(more, /^1 injected/, "no word of an empty table"),
  };
  await t.test("run", async (t) => {
    const options = { ...files(t, deployment), cluster: "kubeconfig", output: "table" } as const;
    t.equal(await audit(options, output), 0);
  });
  t.match(out, `10.0.0.5:1433  →  ${GATEWAY_HOST}:1433`);
});

t.test("an object of the gateway's name that is not the gateway's, and a cluster that refuses", async (t) => {
  const { memory } = await liveCluster(t);
  const ref = { kind: "Service", namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" } as const;
  memory.edit("kubectl", ref, (object) => ({ ...object, metadata: { ...object.metadata, labels: {} } }));
  t.match(await run(t), {
    code: 1,
    err: /rejected: .*Service flowgen-gateway\/flowgen-wireguard-gateway: .*not managed/,
  });
  const refusing = await listen((_, response) => {
    reply(response, 403, status(403, "Forbidden", "you may not read services"));
  });
  t.teardown(refusing.close);
  setEnv(t, { ...process.env, KUBECONFIG: writeKubeconfig(t, { server: refusing.url, ...plain }) });
  t.match(await run(t), {
    code: 1,
    err: /failed: api-error: .*you may not read services/,
  });
});

t.test("a kubeconfig that cannot be read", async (t) => {
  setEnv(t, { ...process.env, KUBECONFIG: "/nowhere/kubeconfig" });
  await t.rejects(injected(t, other, CONFIG, { cluster: "kubeconfig" }), {
    message: /^--cluster kubeconfig: .*KUBECONFIG/,
  });
});
