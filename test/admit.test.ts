import { readFileSync } from "node:fs";
import t from "tap";
import { admit, type PodCreation } from "../src/admit.ts";
import { ClusterError, type KubeObject } from "../src/cluster/cluster.ts";
import { counted } from "../src/cluster/counted.ts";
import { createMemoryCluster, type MemoryOptions } from "../src/emulator/memory.ts";
import { createProvisioner } from "../src/provisioning/provisioner.ts";
import type { Pod } from "../src/core/pod.ts";
import { configOf, patched, podOf, scripts } from "./making.ts";

const config = configOf(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8", "*.corp.example.com"]}]
    maxForwards: 10
    maxForwardsPerNamespace: 10
`);

/** A webhook on a cluster of its own. */
const setup = (options: MemoryOptions = {}, using = config) => {
  const cluster = createMemoryCluster(options);
  const calls: string[] = [];
  let clock = 0;
  const provision = createProvisioner(
    counted(cluster, (verb, kind) => calls.push(`${verb} ${kind}`)),
    { scripts, now: () => clock, pause: () => Promise.resolve() },
  );
  const { signal } = new AbortController();
  return {
    cluster,
    calls,
    tick: (ms: number) => {
      clock += ms;
    },
    admit: (pod: Pod, more: Partial<PodCreation> = {}, config = using) =>
      admit(
        { pod, namespace: "team-a", dryRun: false, signal: () => signal, ...more },
        { config, provision, version: "1.2.3" },
      ),
  };
};
const versions = (objects: readonly KubeObject[]) =>
  objects.map(({ kind, metadata }) => `${kind} ${metadata.name ?? ""} ${metadata.resourceVersion ?? ""}`);
const HOST = "flowgen-wireguard-gateway.flowgen-gateway.svc";
const mssql = podOf("mssql=10.0.0.5:1433", { MSSQL_HOST: "10.0.0.5", MSSQL_PORT: "1433" });

t.test("a pod as a real API server sends it", async (t) => {
  const { request } = JSON.parse(
    readFileSync(new URL("fixtures/reviews/review-pod-create.json", import.meta.url), "utf8"),
  ) as { request: { object: Pod } };
  const webhook = setup();
  const admission = await webhook.admit(request.object);
  t.match(admission, { outcome: "inject", reason: "injected", gateway: "flowgen-gateway/flowgen-wireguard-gateway" });
  const pod = patched(request.object, admission.operations);
  t.strictSame(pod.spec.containers[0]?.env, [
    { name: "POD_NAME", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } } },
    { name: "MSSQL_HOST", value: HOST },
    { name: "MSSQL_PORT", value: "1433" },
    { name: "DATABASE_URL", value: `postgres://app:s3cret@${HOST}:5432/prod` },
    { name: "NATS_TOKEN", valueFrom: { secretKeyRef: { name: "nats", key: "token" } } },
  ]);
  t.match(pod.metadata.labels, {
    "flowgen.io/gateway": "flowgen-wireguard-gateway",
    "target.flowgen.io/mssql": "true",
    "target.flowgen.io/postgres": "true",
  });
  t.strictSame(JSON.parse(pod.metadata.annotations?.["flowgen.io/gateway-status"] ?? ""), {
    format: 2,
    gateway: "flowgen-gateway/flowgen-wireguard-gateway",
    targets: {
      mssql: { target: "10.0.0.5:1433", tunnel: "wg0", address: `${HOST}:1433`, redirect: "env" },
      postgres: { target: "10.0.0.6:5432", tunnel: "wg0", address: `${HOST}:5432`, redirect: "env" },
    },
    env: ["flowgen/DATABASE_URL", "flowgen/MSSQL_HOST"],
    version: "1.2.3",
  });
  const rest = (value: Pod) => ({
    ...value,
    metadata: { ...value.metadata, labels: {}, annotations: {} },
    spec: { ...value.spec, containers: value.spec.containers.map((item) => ({ ...item, env: [] })) },
  });
  t.strictSame(rest(pod), rest(request.object), "nothing else changed");
  t.strictSame(
    webhook.cluster.all().map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name ?? ""}`),
    [
      "ConfigMap flowgen-gateway/flowgen-wireguard-gateway-forwards",
      "ConfigMap flowgen-gateway/flowgen-wireguard-gateway-scripts",
      "Deployment flowgen-gateway/flowgen-wireguard-gateway",
      "NetworkPolicy flowgen-gateway/flowgen-wireguard-gateway",
      "Service flowgen-gateway/flowgen-wireguard-gateway",
    ],
  );
  t.match(
    await webhook.admit(pod),
    { outcome: "skip", reason: "unchanged", operations: { length: 0 } },
    "its own output is left alone",
  );
});

t.test("warm: no API call; another target: one write of the table", async (t) => {
  const webhook = setup();
  await webhook.admit(mssql);
  webhook.calls.length = 0;
  t.match(await webhook.admit(mssql), { outcome: "inject" });
  t.strictSame(webhook.calls, []);
  webhook.tick(30_001);
  t.match(await webhook.admit(mssql), { outcome: "inject" });
  t.strictSame(
    webhook.calls,
    ["get ConfigMap", "get Deployment", "get Service", "get NetworkPolicy", "list Service", "get ConfigMap"],
    "an old cache is read again, nothing is written",
  );
  webhook.calls.length = 0;
  await webhook.admit(podOf("postgres=10.0.0.6:5432"));
  t.strictSame(webhook.calls.filter((call) => call.startsWith("apply")).sort(), [
    "apply ConfigMap",
    "apply NetworkPolicy",
    "apply Service",
  ]);
});

t.test("concurrent admissions share one write", async (t) => {
  const webhook = setup();
  await webhook.admit(mssql);
  webhook.calls.length = 0;
  const targets = Array.from({ length: 8 }, (_, i) => podOf(`t${i}=10.0.1.${i}:5000`));
  const admissions = await Promise.all(targets.map((pod) => webhook.admit(pod)));
  t.ok(admissions.every(({ outcome }) => outcome === "inject"));
  t.equal(new Set(admissions.map(({ assignments }) => assignments[0]?.host)).size, 8, "a Service each");
  t.ok(webhook.calls.filter((call) => call === "apply ConfigMap").length <= 4, webhook.calls.join());
});

t.test("in a batch a bad request is refused alone", async (t) => {
  const webhook = setup();
  const [good, bad] = await Promise.all([
    webhook.admit(mssql),
    webhook.admit(podOf("x=db.corp.example.com:27017", { URL: "mongodb+srv://db.corp.example.com/x" })),
  ]);
  t.match(good, { outcome: "inject" });
  t.match(bad, { outcome: "reject", reason: "srv-url" });
});

t.test("dry run: the same patch, and nothing is written", async (t) => {
  const webhook = setup();
  const dry = await webhook.admit(mssql, { dryRun: true });
  t.strictSame(webhook.cluster.all(), []);
  t.notOk(
    webhook.calls.some((call) => !/^(get|list) /.test(call)),
    webhook.calls.join(),
  );
  const real = await webhook.admit(mssql);
  t.strictSame(dry, real);
  const before = versions(webhook.cluster.all());
  t.match(await webhook.admit(podOf("x=10.0.0.6:1433"), { dryRun: true }), {
    outcome: "inject",
    assignments: [{ port: 1433, isAssumed: true }],
  });
  t.strictSame(versions(webhook.cluster.all()), before);
});

t.test("audit: allowed without a patch, and the answer says what would have been done", async (t) => {
  const webhook = setup({}, { ...config, mode: "audit" });
  t.match(await webhook.admit(mssql), {
    outcome: "audit",
    reason: "would-inject",
    operations: { length: 0 },
    assignments: [{ port: 1433 }],
    changed: [{ env: "MSSQL_HOST" }],
    warnings: [`audit: 10.0.0.5:1433 would be reached at ${HOST}:1433`, "audit: env that would change: MSSQL_HOST"],
  });
  t.match(await webhook.admit(podOf("x=10.0.0.5:1433, y=11.0.0.1:1")), {
    outcome: "audit",
    reason: "target-not-allowed",
    refusedTargets: [{ host: "10.0.0.5" }, { host: "11.0.0.1" }],
  });
  t.match(await webhook.admit(podOf("x=127.0.0.1:1")), {
    outcome: "audit",
    reason: "target-forbidden",
    operations: { length: 0 },
    warnings: [/^audit: [a-z-]+: would be rejected: .*use the server's own address on the private network$/],
  });
  t.strictSame(webhook.cluster.all(), []);
});

t.test("reject: the reasons that need the cluster", async (t) => {
  const full = setup(
    {},
    configOf(
      "gateways: [{namespace: g, maxForwards: 1, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]}]",
    ),
  );
  t.match(await full.admit(podOf("a=10.0.0.5:1, b=10.0.0.6:1")), { outcome: "reject", reason: "gateway-full" });
  t.strictSame(full.cluster.all(), [], "a gateway whose pod was refused is not made");

  const taken = setup();
  await taken.cluster.create(
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "flowgen-wireguard-gateway", namespace: "flowgen-gateway" },
      spec: { ports: [{ port: 1 }] },
    },
    new AbortController().signal,
  );
  const before = versions(taken.cluster.all());
  t.match(await taken.admit(mssql), {
    outcome: "reject",
    reason: "object-unmanaged",
    message: /Service flowgen-gateway\/flowgen-wireguard-gateway: .*flowgen-gateway adopt`/,
  });
  t.strictSame(versions(taken.cluster.all()), before, "untouched");

  const edited = setup();
  await edited.admit(mssql);
  edited.cluster.edit(
    "kubectl-edit",
    { kind: "ConfigMap", namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway-forwards" },
    (object) => ({ ...object, data: { "table.json": '{"version":1,"forwards":[{"targetHost":"$(x)"}]}' } }),
  );
  t.match(await edited.admit(podOf("x=10.0.0.8:1")), {
    outcome: "reject",
    reason: "table-invalid",
    message: /flowgen-wireguard-gateway-forwards table\.json\.forwards\[0\]/,
  });

  const srv = setup();
  t.match(
    await srv.admit(
      podOf("mongo=db.corp.example.com:27017", { MONGO_URL: "mongodb+srv://u:s3cret@db.corp.example.com/x" }),
    ),
    { outcome: "reject", reason: "srv-url", message: /^((?!s3cret).)*$/ },
  );
  t.strictSame(srv.cluster.all(), [], "no forward is left behind");
  t.match(await srv.admit(podOf("mssql=10.0.0.5:1433", { OTHER: "mongodb+srv://elsewhere.example.com/x" })), {
    outcome: "inject",
  });
});

t.test("fail: no answer in time, or an API server that refuses", async (t) => {
  const denied = setup({
    before: ({ verb, ref }) => {
      if (verb === "apply") throw new ClusterError({ verb, ref, code: 403, reason: "Forbidden", says: "may not" });
      return undefined;
    },
  });
  t.match(await denied.admit(mssql), {
    outcome: "fail",
    reason: "api-error",
    message: /cannot apply configmaps .*may not/,
  });

  const stuck = setup({ before: () => new Promise(() => undefined) });
  const deadline = new AbortController();
  const waiting = stuck.admit(mssql, { signal: () => deadline.signal });
  deadline.abort();
  t.match(await waiting, { outcome: "fail", reason: "deadline" });
  t.match(await stuck.admit(mssql, { signal: () => AbortSignal.abort() }), { outcome: "fail", reason: "deadline" });

  const broken = setup({
    before: () => {
      throw new TypeError("a bug");
    },
  });
  await t.rejects(broken.admit(mssql), TypeError, "a bug is not an outcome");
});

t.test("a shared write goes on while an admission waits for it", async (t) => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const webhook = setup({ before: ({ verb }) => (verb === "apply" ? held : undefined) });
  const first = new AbortController();
  const [impatient, patient] = [webhook.admit(mssql, { signal: () => first.signal }), webhook.admit(mssql)];
  await new Promise((resolve) => setImmediate(resolve));
  first.abort();
  t.match(await impatient, { outcome: "fail", reason: "deadline" });
  release();
  t.match(await patient, { outcome: "inject" });
});

t.test("an admission succeeds after transient faults: a lost answer, a 500, a 409", async (t) => {
  let faults = 6;
  const codes = [0, 500, 409];
  const webhook = setup({
    after: ({ verb, ref }) => {
      if (verb === "apply" && faults-- > 0)
        throw new ClusterError({ verb, ref, code: codes[faults % 3] ?? 0, reason: "x", says: "y" });
      return undefined;
    },
  });
  t.match(await webhook.admit(mssql), { outcome: "inject", assignments: [{ port: 1433 }] });
  t.ok(faults <= 0);
});

t.test("drift in the webhook's fields is repaired, and fields that others added stay", async (t) => {
  const webhook = setup();
  await webhook.admit(mssql);
  const ref = { kind: "Service", namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" } as const;
  webhook.cluster.edit("kubectl-edit", ref, (object) => ({
    ...object,
    metadata: { ...object.metadata, annotations: { team: "dba" } },
    spec: { ...(object["spec"] as object), selector: { stolen: "yes" } },
  }));
  webhook.tick(30_001);
  await webhook.admit(mssql);
  const service = webhook.cluster.all().find(({ kind }) => kind === "Service");
  t.match(service, {
    metadata: { annotations: { team: "dba" } },
    spec: { selector: { "app.kubernetes.io/instance": "flowgen-wireguard-gateway" } },
  });
});

t.test(
  "a changed template is announced by an Event before the pod is replaced; the gateway's pods get an annotation for a new table",
  async (t) => {
    const webhook = setup();
    const selector = {
      "app.kubernetes.io/name": "flowgen",
      "app.kubernetes.io/instance": "flowgen-wireguard-gateway",
      "app.kubernetes.io/component": "wireguard-gateway",
    };
    await webhook.cluster.create(
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "gw-0", namespace: "flowgen-gateway", labels: selector },
        spec: { containers: [{ name: "x", image: "x" }] },
      },
      new AbortController().signal,
    );
    await webhook.admit(mssql);
    t.match(webhook.cluster.all().find(({ kind }) => kind === "Pod")?.metadata.annotations, {
      "flowgen.io/table": /\d+/,
    });
    t.notOk(webhook.cluster.all().some(({ kind }) => kind === "Event"));
    const other = configOf(
      "gateways: [{namespace: flowgen-gateway, image: {tag: newer}, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]}]",
    );
    await webhook.admit(mssql, {}, other);
    t.match(
      webhook.cluster.all().filter(({ kind }) => kind === "Event"),
      [{ reason: "GatewayRestart", involvedObject: { kind: "Deployment", name: "flowgen-wireguard-gateway" } }],
    );
    t.match(
      webhook.cluster.all().find(({ kind }) => kind === "Deployment"),
      { spec: { template: { spec: { containers: [{ image: /:newer$/ }] } } } },
    );
  },
);

t.test(
  "a pod that comes back keeps the addresses that the table has, else it is refused; forged marks are overwritten",
  async (t) => {
    const webhook = setup();
    const first = patched(mssql, (await webhook.admit(mssql)).operations);
    t.match(await webhook.admit(first), { outcome: "skip", reason: "unchanged" });
    const forged: Pod = {
      ...first,
      metadata: {
        ...first.metadata,
        labels: { ...first.metadata.labels, "target.flowgen.io/payroll": "true", "target.flowgen.io/mssql": "no" },
      },
    };
    const pod = patched(forged, (await webhook.admit(forged)).operations);
    t.strictSame(pod, first);
    const elsewhere = {
      gateway: "flowgen-gateway/flowgen-wireguard-gateway",
      targets: { "10.0.0.5:1433": "old-gateway.elsewhere.svc:1500" },
      env: ["flowgen/MSSQL_HOST"],
      version: "0.0.1",
    };
    const restored = podOf(
      "mssql=10.0.0.5:1433",
      { MSSQL_HOST: "old-gateway.elsewhere.svc", MSSQL_PORT: "1500" },
      { "flowgen.io/gateway-status": JSON.stringify(elsewhere) },
    );
    t.match(await webhook.admit(restored), {
      outcome: "reject",
      reason: "address-gone",
      message: /old-gateway.elsewhere.svc:1500/,
    });
  },
);

t.test(
  "hostAlias: names resolve to the host's own Service, on the target's own port; a second admission changes nothing",
  async (t) => {
    const webhook = setup();
    const asked = podOf("- {name: sql, targetHost: db.corp.example.com, targetPort: 1433, redirect: hostAlias}", {
      SQL_URL: "mssql://db.corp.example.com:1433",
    });
    const admission = await webhook.admit(asked);
    t.match(admission, { outcome: "inject", changed: { length: 0 }, warnings: { length: 0 } });
    const pod = patched(asked, admission.operations);
    const [assignment] = admission.assignments;
    t.strictSame(pod.spec.hostAliases, [{ ip: assignment?.clusterIPs[0], hostnames: ["db.corp.example.com"] }]);
    t.strictSame(pod.spec.containers, asked.spec.containers);
    const service = webhook.cluster
      .all()
      .find(({ metadata }) => assignment?.host.startsWith(`${metadata.name ?? ""}.`));
    t.match(service?.["spec"], { clusterIPs: assignment?.clusterIPs, ports: [{ port: 1433, targetPort: 1433 }] });
    t.match(await webhook.admit(pod), { outcome: "skip", reason: "unchanged" });
  },
);

t.test("audit mode and dry runs cost no call while the last read is fresh, for pods with any targets", async (t) => {
  for (const [more, annotations] of [
    [{ dryRun: true }, {}],
    [{}, { "flowgen.io/mode": "audit" }],
  ] as const) {
    const webhook = setup();
    await webhook.admit(podOf("x=10.0.0.6:1433", {}, annotations), more);
    const calls = webhook.calls.splice(0);
    t.ok(calls.length > 0 && calls.every((call) => /^(get|list) /.test(call)), calls.join());
    for (const target of ["x=10.0.0.6:1433", "y=10.0.0.7:1433", "z=192.0.2.1:1"])
      await webhook.admit(podOf(target, {}, annotations), more);
    t.strictSame(webhook.calls, []);
    webhook.tick(31_000);
    await Promise.all([1, 2, 3].map((at) => webhook.admit(podOf(`x=10.0.0.${at}:1433`, {}, annotations), more)));
    t.equal(webhook.calls.length, calls.length, "admissions of one moment share one reading");
  }
});

t.test("hostAlias in a dry run: a stand-in address, said in a warning, and nothing is made", async (t) => {
  const webhook = setup();
  const asked = podOf("- {name: sql, targetHost: db.corp.example.com, targetPort: 1433, redirect: hostAlias}");
  const dry = await webhook.admit(asked, { dryRun: true });
  t.strictSame(patched(asked, dry.operations).spec.hostAliases, [
    { ip: "192.0.2.1", hostnames: ["db.corp.example.com"] },
  ]);
  t.match(dry.warnings, [
    /^sql: 192\.0\.2\.1 stands for the address that its Service gets with the first real admission$/,
  ]);
  t.strictSame(webhook.cluster.all(), []);
});

/** Puts a table into a gateway that an admission has made. */
const withTable = async (webhook: ReturnType<typeof setup>, document: object): Promise<void> => {
  await webhook.admit(mssql);
  const ref = { kind: "ConfigMap", namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway-forwards" } as const;
  webhook.cluster.edit("kubectl-edit", ref, (object) => ({
    ...object,
    data: { "table.json": JSON.stringify(document) },
  }));
  webhook.tick(31_000);
};

t.test(
  "a table or a status that a newer version wrote is a failure, never a refusal, and is left as it is",
  async (t) => {
    const webhook = setup();
    await withTable(webhook, { version: 3, routes: [] });
    const before = versions(webhook.cluster.all());
    t.match(await webhook.admit(mssql), {
      outcome: "fail",
      reason: "format-newer",
      message: /flowgen-wireguard-gateway-forwards table.json has format 3, this version reads up to 2/,
    });
    t.strictSame(versions(webhook.cluster.all()), before);
    const copied = podOf("mssql=10.0.0.5:1433", {}, { "flowgen.io/gateway-status": '{"format":3}' });
    t.match(await setup().admit(copied), { outcome: "fail", reason: "format-newer" });
  },
);

t.test("a forward that only its host's Service offers is served from a table of format 2", async (t) => {
  const webhook = setup();
  const forward = { name: "a", tunnel: "wg0", targetHost: "10.0.0.5", targetPort: 1433, listenPort: 1433 };
  const service = { name: "flowgen-wireguard-gateway-a-0", tunnel: "wg0", host: "10.0.0.5", clusterIPs: [] };
  await withTable(webhook, { version: 2, forwards: [forward], services: [service] });
  t.match(await webhook.admit(mssql), {
    outcome: "inject",
    assignments: [{ host: "flowgen-wireguard-gateway-a-0.flowgen-gateway.svc", port: 1433 }],
  });
});

t.test("a Service in the table whose host has no forward any more keeps no pod from its targets", async (t) => {
  const webhook = setup();
  const forward = { name: "a", tunnel: "wg0", targetHost: "10.0.0.5", targetPort: 1433, listenPort: 1433 };
  const bare = { name: "flowgen-wireguard-gateway-b-0", tunnel: "wg0", host: "10.0.0.6", clusterIPs: ["10.96.0.99"] };
  const own = { ...bare, name: "flowgen-wireguard-gateway-a-0", host: "10.0.0.5", clusterIPs: [] };
  await withTable(webhook, { version: 2, forwards: [forward], services: [own, bare] });
  for (const target of ["c=10.0.0.7:80", "d=10.0.0.8:81"])
    t.match(await webhook.admit(podOf(target)), { outcome: "inject" });
  const table = webhook.cluster.all().find(({ metadata }) => metadata.name === "flowgen-wireguard-gateway-forwards");
  const { services } = JSON.parse((table?.["data"] as Record<string, string>)["table.json"] ?? "") as {
    services: object[];
  };
  t.match(services, [{ clusterIPs: [/^10\./] }, { clusterIPs: ["10.96.0.99"] }]);
});

t.test("with a cluster domain the names are whole; a pod that holds a short one keeps it", async (t) => {
  const webhook = setup();
  const full = { ...config, clusterDomain: "corp.internal" };
  const short = patched(mssql, (await webhook.admit(mssql)).operations);
  const whole = patched(mssql, (await webhook.admit(mssql, {}, full)).operations);
  t.match(short.spec.containers[0]?.env, [{ name: "MSSQL_HOST", value: HOST }]);
  t.match(whole.spec.containers[0]?.env, [{ name: "MSSQL_HOST", value: `${HOST}.corp.internal` }]);
  const again = await webhook.admit(short, {}, full);
  t.not(again.outcome, "reject");
  t.match(patched(short, again.operations).spec.containers[0]?.env, [{ name: "MSSQL_HOST", value: HOST }]);
  t.match(await webhook.admit(whole, {}, full), { outcome: "skip", reason: "unchanged" });
});

t.test("a pod whose patch would be too large is refused, and leaves no forward behind", async (t) => {
  const webhook = setup();
  const text = `${"x".repeat(100_000)} 10.0.0.5:1433`;
  const pod = podOf(
    "mssql=10.0.0.5:1433",
    Object.fromEntries(["A", "B", "C", "D", "E", "F"].map((name) => [name, text])),
  );
  t.match(await webhook.admit(pod), { outcome: "reject", reason: "work-too-much", operations: [] });
  t.notOk(webhook.calls.some((call) => call.startsWith("apply") || call.startsWith("create")));
});
