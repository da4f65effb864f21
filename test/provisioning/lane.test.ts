import { readdirSync } from "node:fs";
import t from "tap";
import { ClusterError, refOf } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryOptions } from "../../src/emulator/memory.ts";
import { fault, type MemoryCall } from "../../src/emulator/store.ts";
import { createProvisioner, type ProvisionOptions } from "../../src/provisioning/provisioner.ts";
import type { LaneEvents } from "../../src/provisioning/lane.ts";
import { delayMs, sleepUnless, whenAllAbort } from "../../src/cluster/waiting.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import { podLabels } from "../../src/core/gateway/manifests.ts";
import { reject } from "../../src/core/reasons.ts";
import type { Want } from "../../src/core/target.ts";
import { configOf, gatewayOf, scripts, wantOf } from "../making.ts";

const config = configOf(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, portForwards: [{name: static, port: 1433, targetHost: 10.0.0.9, targetPort: 1433}]}]
`);
const { signal } = new AbortController();

const setup = (options: Partial<ProvisionOptions> = {}, memory: MemoryOptions = {}) => {
  const cluster = createMemoryCluster(memory);
  const provision = createProvisioner(cluster, { scripts, ...options });
  return {
    cluster,
    provision,
    ask: (wants: readonly Want[], more: { write?: boolean; config?: typeof config } = {}) => {
      const using = more.config ?? config;
      return provision({
        config: using,
        gateway: gatewayOf(using),
        wants,
        objection: () => undefined,
        write: more.write ?? true,
        signal: () => signal,
      });
    },
  };
};

t.test("static forwards come first; one that has no free port is reported with the next write", async (t) => {
  const omitted: string[][] = [];
  const events: LaneEvents = { omitted: (_gateway, forwards) => omitted.push([...forwards]) };
  const webhook = setup({ events });
  const first = await webhook.ask([wantOf("mssql", "10.0.0.5", 1433)]);
  t.match(
    first,
    { assignments: [{ host: /^flowgen-wireguard-gateway-10-0-0-5-/, port: 1433 }] },
    "1433 is the static one's",
  );
  t.strictSame(omitted, []);
  const other = configOf(
    "gateways: [{namespace: flowgen-gateway, tunnels: [{name: wg0, secretName: a, portForwards: [{name: late, port: 1433, targetHost: 10.0.0.8, targetPort: 1}]}]}]",
  );
  t.match(await webhook.ask([wantOf("mssql", "10.0.0.5", 1433)], { config: other }), { assignments: [{ port: 1433 }] });
  t.strictSame(omitted, [["wg0/late: service port 1433 is taken"]]);
});

t.test("conflicts, table sizes and restarts are reported", async (t) => {
  const told: string[] = [];
  let conflicts = 2;
  const webhook = setup(
    {
      random: () => 0,
      events: {
        conflict: ({ name }) => told.push(`conflict ${name}`),
        table: (_gateway, { forwards }) => told.push(`table ${forwards.length}`),
        restart: (_gateway, why) => told.push(why),
      },
    },
    {
      before: (call) => {
        if (call.verb === "apply" && conflicts-- > 0) throw fault(call, 409, "Conflict", "changed");
        return undefined;
      },
    },
  );
  await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
  t.strictSame(told, ["conflict flowgen-wireguard-gateway", "conflict flowgen-wireguard-gateway", "table 2"]);
  await webhook.ask([wantOf("a", "10.0.0.5", 1)], {
    config: configOf(
      "gateways: [{namespace: flowgen-gateway, nodeSelector: {disk: ssd}, tunnels: [{name: wg0, secretName: a}]}]",
    ),
  });
  t.match(told.slice(3), [/its pod is replaced/, "table 2"]);
});

t.test("retries are bounded, and an error that a retry cannot mend is not retried", async (t) => {
  const failing = (code: number) => {
    let calls = 0;
    const webhook = setup(
      { random: () => 0 },
      {
        before: (call) => {
          calls += 1;
          throw fault(call, code, "Nope", "no");
        },
      },
    );
    return { webhook, calls: () => calls };
  };
  const busy = failing(503);
  await t.rejects(busy.webhook.ask([wantOf("a", "10.0.0.5", 1)]), { code: 503 });
  t.equal(busy.calls(), 5 * 12, "the first read of twelve attempts");
  const denied = failing(403);
  await t.rejects(denied.webhook.ask([wantOf("a", "10.0.0.5", 1)]), { code: 403 });
  t.equal(denied.calls(), 5);
});

t.test("an admission that arrives while the gateway is read shares the write", async (t) => {
  const writes: string[] = [];
  let late: Promise<unknown> | undefined;
  const webhook = setup(
    {},
    {
      before: ({ verb, ref }) => {
        if (verb === "get") late ??= webhook.ask([wantOf("late", "10.0.0.6", 2)]);
        if (verb === "apply" && ref.name.endsWith("-forwards")) writes.push(ref.name);
        return undefined;
      },
    },
  );
  await webhook.ask([wantOf("early", "10.0.0.5", 1)]);
  t.match(await late, { assignments: [{ port: 2 }] });
  t.equal(writes.length, 1, "one write for both");
});

t.test("an admission that arrives during a repeated write shares it, and has all of its own attempts", async (t) => {
  const tableWrites: number[] = [];
  let late: Promise<unknown> | undefined;
  const webhook = setup(
    {
      pause: async () => {
        late ??= webhook.ask([wantOf("late", "10.0.0.6", 2)]);
      },
    },
    {
      before: (call) => {
        if (call.verb !== "apply" || !call.ref.name.endsWith("-forwards")) return undefined;
        if (tableWrites.push(tableWrites.length) === 1) throw fault(call, 409, "Conflict", "changed");
        return undefined;
      },
    },
  );
  await webhook.ask([wantOf("early", "10.0.0.5", 1)]);
  t.match(await late, { assignments: [{ port: 2 }] });
  t.equal(tableWrites.length, 2, "the one that was refused, and one for both");

  const trouble: ClusterError[] = [];
  let pauses = 0;
  const busy = setup(
    {
      pause: async () => {
        if (++pauses === 5) late = busy.ask([wantOf("late", "10.0.0.6", 2)]).catch(() => pauses);
      },
    },
    {
      before: (call) => {
        throw fault(call, 503, "ServiceUnavailable", "no");
      },
    },
  );
  await busy.ask([wantOf("early", "10.0.0.5", 1)]).catch((error: unknown) => trouble.push(error as ClusterError));
  t.match([trouble, pauses], [[{ code: 503 }], 12]);
  t.equal(await late, 16, "eleven pauses between twelve attempts, from the sixth attempt on");
});

t.test("a deadline during a retry names the error that was retried", async (t) => {
  const webhook = setup(
    {},
    {
      before: (call) => {
        throw fault(call, 503, "ServiceUnavailable", "no etcd");
      },
    },
  );
  const ask = createProvisioner(webhook.cluster, { scripts });
  const asked = ask({
    config,
    gateway: gatewayOf(config),
    wants: [wantOf("a", "10.0.0.5", 1)],
    write: true,
    signal: () => AbortSignal.timeout(200),
  });
  await t.rejects(asked, {
    reason: "DeadlineExceeded",
    message: /no answer before the deadline; before that: cannot get .* no etcd/,
  });
});

t.test("a dry run is refused as the real admission is", async (t) => {
  const webhook = setup();
  await webhook.cluster.create(
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "flowgen-wireguard-gateway-forwards", namespace: "flowgen-gateway" },
      data: {},
    },
    signal,
  );
  t.match(await webhook.ask([wantOf("a", "10.0.0.5", 1)], { write: false }), { reason: "object-unmanaged" });
  const preview = await setup().ask([wantOf("a", "10.0.0.5", 1433)], { write: false });
  t.match(
    preview,
    { assignments: [{ port: 1433, clusterIPs: ["192.0.2.1"], isAssumed: true }] },
    "1433 is the static one's",
  );
});

t.test("a preview's stand-ins are of the families that the gateway's Service has", async (t) => {
  let clock = 0;
  const webhook = setup({ now: () => (clock += 31_000) });
  await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
  const ref = { kind: "Service", namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" } as const;
  const given = (...clusterIPs: readonly string[]) =>
    webhook.cluster.edit("API server", ref, (service) => ({
      ...service,
      spec: { ...(service["spec"] as object), clusterIPs },
    }));
  const preview = () => webhook.ask([ownService("b", "10.0.0.6"), ownService("c", "10.0.0.7")], { write: false });
  given("10.96.0.1", "fd00::1");
  t.match(await preview(), {
    assignments: [{ clusterIPs: ["192.0.2.1", "2001:db8::1"] }, { clusterIPs: ["192.0.2.2", "2001:db8::2"] }],
  });
  given("fd00::1");
  t.match(await preview(), { assignments: [{ clusterIPs: ["2001:db8::1"], isAssumed: true }, {}] });
});

t.test("a table that was deleted is made again of what the Services carry, or the pods are refused", async (t) => {
  const place = { namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" };
  const table = { kind: "ConfigMap", namespace: place.namespace, name: `${place.name}-forwards` } as const;
  const recovered: number[] = [];
  const webhook = setup({ events: { recovered: (_gateway, { forwards }) => recovered.push(forwards.length) } });
  await webhook.ask([wantOf("a", "10.0.0.5", 1433), wantOf("b", "10.0.0.6", 1433)]);
  const before = await webhook.cluster.get(table, signal);
  webhook.cluster.remove(table);
  t.match(await webhook.ask([wantOf("c", "10.0.0.7", 80)]), { kind: "assigned" });
  t.strictSame(recovered, [4]);
  const lines = (object: typeof before): readonly string[] =>
    (object?.["data"] as { forwards: string }).forwards.split("\n").sort();
  const after = lines(await webhook.cluster.get(table, signal));
  t.strictSame(
    after.filter((line) => !line.includes("10.0.0.7")),
    lines(before),
  );
  webhook.cluster.edit("somebody", { kind: "Service", ...place }, (read) => ({
    ...read,
    metadata: { ...read.metadata, annotations: {} },
  }));
  webhook.cluster.remove(table);
  t.match(await webhook.ask([wantOf("d", "10.0.0.8", 1)]), {
    reason: "table-invalid",
    message: /^ConfigMap .*-forwards is missing, and Service flowgen-wireguard-gateway does not carry its lines/,
  });
});

t.test("a user's changes of the gateway's objects are repaired at the next read", async (t) => {
  const place = { namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" };
  const webhook = setup();
  await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
  const table = { kind: "ConfigMap", namespace: place.namespace, name: `${place.name}-forwards` } as const;
  const before = await webhook.cluster.get(table, signal);
  webhook.cluster.edit("somebody", table, (read) => ({
    ...read,
    data: { ...(read["data"] as object), forwards: "1 10.0.0.66 1 wg0\n" },
  }));
  const ref = { kind: "Deployment", ...place } as const;
  const { spec } = (await webhook.cluster.get(ref, signal)) as unknown as { spec: object };
  const strategy = { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
  webhook.cluster.edit("somebody", ref, (read) => ({ ...read, spec: { ...spec, strategy } }));
  await createProvisioner(webhook.cluster, { scripts })({
    config,
    gateway: gatewayOf(config),
    wants: [wantOf("a", "10.0.0.5", 1)],
    write: true,
    signal: () => signal,
  });
  t.strictSame((await webhook.cluster.get(table, signal))?.["data"], before?.["data"], "the lines for the scripts too");
  t.strictSame((await webhook.cluster.get(ref, signal))?.["spec"], spec, "the strategy as well");
});

t.test(
  "a Deployment that was handed over with a selector of its own is refused, because a selector cannot be changed",
  async (t) => {
    const { cluster, ask } = setup();
    await cluster.create(
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: {
          name: "flowgen-wireguard-gateway",
          namespace: "flowgen-gateway",
          labels: { "app.kubernetes.io/managed-by": "flowgen-gateway-webhook" },
        },
        spec: { selector: { matchLabels: { app: "theirs" } }, template: {} },
      },
      signal,
    );
    t.match(await ask([wantOf("a", "10.0.0.5", 1)]), {
      reason: "selector-other",
      message: /^Deployment flowgen-gateway\/flowgen-wireguard-gateway: .*; take it over with `flowgen-gateway adopt`/,
    });
  },
);

t.test("a gateway's pod that ends before its annotation is written is not created again", async (t) => {
  const pod = { kind: "Pod", namespace: "flowgen-gateway", name: "p" } as const;
  const labels = podLabels(gatewayOf(config));
  const endsWhenTouched = ({ verb, ref }: MemoryCall): undefined => {
    if (verb === "apply" && ref.kind === "Pod") cluster.remove(pod);
  };
  const { cluster, ask } = setup({}, { before: endsWhenTouched });
  await cluster.create({ apiVersion: "v1", kind: "Pod", metadata: { ...pod, labels }, spec: {} }, signal);
  t.match(await ask([wantOf("a", "10.0.0.5", 1)]), { kind: "assigned" });
  t.equal(await cluster.get(pod, signal), undefined);
});

t.test("a derived object that is deleted between read and write is made from a new read", async (t) => {
  let isArmed = false;
  const ref = { kind: "Service", namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" } as const;
  const webhook = setup(
    { random: () => 0 },
    {
      before: (call) => {
        if (isArmed && call.verb === "apply" && call.ref.kind === "Service") {
          isArmed = false;
          webhook.cluster.remove(ref);
        }
        return undefined;
      },
    },
  );
  await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
  isArmed = true;
  await webhook.ask([wantOf("b", "10.0.0.6", 2)]);
  const service = webhook.cluster.all().find(({ kind }) => kind === "Service");
  t.strictSame((service?.["spec"] as { ports: { port: number }[] }).ports.map(({ port }) => port).sort(), [1, 1433, 2]);
});

t.test("objects that another replica made from the same table are not applied again", async (t) => {
  let isArmed = false;
  let conflicts = 0;
  const webhook = setup(
    { events: { conflict: () => (conflicts += 1) } },
    {
      before: async (call) => {
        if (!isArmed || call.verb !== "apply" || call.ref.kind !== "Service") return;
        isArmed = false;
        await other({
          config,
          gateway: gatewayOf(config),
          wants: [wantOf("b", "10.0.0.6", 2)],
          write: true,
          signal: () => signal,
        });
      },
    },
  );
  const other = createProvisioner(webhook.cluster, { scripts });
  await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
  isArmed = true;
  t.match(await webhook.ask([wantOf("b", "10.0.0.6", 2)]), { assignments: [{ port: 2 }] });
  t.notOk(isArmed);
  t.equal(conflicts, 0, "nothing had to be read and written anew");
});

t.test(
  "an object of a newer table serves the pods that wait; the replica that wrote a still newer one makes it anew",
  async (t) => {
    let isArmed = false;
    const applies: string[] = [];
    const isService = ({ verb, ref }: MemoryCall): boolean => verb === "apply" && ref.kind === "Service";
    const webhook = setup(
      {},
      {
        before: async (call) => {
          if (!isService(call)) return;
          applies.push(isArmed ? "first" : "other");
          if (!isArmed) return;
          isArmed = false;
          await askOf(other, wantOf("c", "10.0.0.7", 3));
          // Ends before it has made its objects.
          await askOf(createProvisioner(ended, { scripts, random: () => 0 }), wantOf("d", "10.0.0.8", 4)).catch(
            () => undefined,
          );
        },
      },
    );
    const { cluster } = webhook;
    const ended: typeof cluster = {
      ...cluster,
      apply: (object, ending) =>
        object.kind === "Service"
          ? Promise.reject(new ClusterError({ verb: "apply", ref: refOf(object), code: 403, reason: "Over", says: "" }))
          : cluster.apply(object, ending),
    };
    const askOf = (provision: typeof other, want: Want) =>
      provision({ config, gateway: gatewayOf(config), wants: [want], write: true, signal: () => signal });
    const other = createProvisioner(cluster, { scripts });
    await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
    [applies.length, isArmed] = [0, true];
    t.match(await webhook.ask([wantOf("b", "10.0.0.6", 2)]), { assignments: [{ port: 2 }] });
    t.strictSame(applies, ["first", "other"], "not made a third time");
    const service = cluster.all().find(({ kind }) => kind === "Service");
    const ports = (): number[] => (service?.["spec"] as { ports: { port: number }[] }).ports.map(({ port }) => port);
    t.strictSame(ports().sort(), [1, 1433, 2, 3]);
  },
);

t.test("a pod list that hangs does not fail an admission", async (t) => {
  const webhook = setup(
    {},
    { before: ({ verb, ref }) => (verb === "list" && ref.kind === "Pod" ? new Promise(() => undefined) : undefined) },
  );
  t.match(await webhook.ask([wantOf("a", "10.0.0.5", 1)]), { kind: "assigned" });
});

t.test("gateways of two namespaces share neither table nor cache", async (t) => {
  const cluster = createMemoryCluster();
  const provision = createProvisioner(cluster, { scripts });
  const gateway = (namespace: string) => ({ ...gatewayOf(config), namespace, isPerNamespace: true });
  const ask = (namespace: string, want: Want) =>
    provision({ config, gateway: gateway(namespace), wants: [want], write: true, signal: () => signal });
  t.match(await ask("team-a", wantOf("a", "10.0.0.5", 2000)), {
    assignments: [{ host: "flowgen-wireguard-gateway.team-a.svc", port: 2000 }],
  });
  t.match(await ask("team-b", wantOf("b", "10.0.0.6", 2000)), {
    assignments: [{ host: "flowgen-wireguard-gateway.team-b.svc", port: 2000 }],
  });
  t.equal(cluster.all().filter(({ kind }) => kind === "Service").length, 2);
});

t.test("a gateway's emptied table is refused, and no new one is begun", async (t) => {
  const webhook = setup();
  await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
  webhook.cluster.edit(
    "kubectl-edit",
    { kind: "ConfigMap", namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway-forwards" },
    ({ data: _, ...object }) => object,
  );
  t.match(await webhook.ask([wantOf("b", "10.0.0.6", 1)]), { reason: "table-invalid" });
});

t.test("requests of an old config and of a new one that wait together are each served by theirs", async (t) => {
  const webhook = setup();
  const newer = configOf(
    "gateways: [{namespace: flowgen-gateway, maxForwards: 1, tunnels: [{name: wg0, secretName: a}]}]",
  );
  const answers = await Promise.all([
    webhook.ask([wantOf("a", "10.0.0.5", 1)]),
    webhook.ask([wantOf("b", "10.0.0.6", 1)]),
    webhook.ask([wantOf("c", "10.0.0.7", 1)], { config: newer }),
  ]);
  t.match(answers, [{ kind: "assigned" }, { kind: "assigned" }, { reason: "gateway-full" }]);
});

t.test("waiting", async (t) => {
  const error = (retryAfterMs?: number) =>
    new ClusterError({
      verb: "get",
      ref: { kind: "Pod", namespace: "", name: "" },
      code: 429,
      reason: "x",
      says: "y",
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  t.equal(delayMs(error(1500), 1, 0.5), 1500, "as the API server asks");
  t.strictSame(
    [1, 2, 20].map((attempts) => delayMs(error(), attempts, 0.5)),
    [10, 20, 500],
  );
  t.equal(delayMs(new Error("x"), 1, 0.5), 10);
  const controllers = [new AbortController(), new AbortController()];
  const all = whenAllAbort(controllers.map((controller) => controller.signal));
  controllers[0]?.abort();
  t.notOk(all.aborted);
  controllers[1]?.abort();
  t.ok(all.aborted);
  t.ok(whenAllAbort([AbortSignal.abort()]).aborted);
  await t.rejects(sleepUnless(60_000, AbortSignal.abort()), { name: "AbortError" });
});

t.test("the scripts are those of src/gateway, with a hash over them", async (t) => {
  const loaded = loadScripts();
  const names = readdirSync(new URL("../../src/gateway", import.meta.url)).sort();
  t.strictSame(Object.keys(loaded.files), names);
  t.ok(names.includes("tunnel.sh"));
  t.match(loaded.hash, /^[0-9a-f]{16}$/);
});

const ownService = (name: string, host: string) =>
  wantOf(name, host, 1433, { needsService: true, names: ["sql.example.com"] });
const placeOf = (webhook: ReturnType<typeof setup>): { name: string; clusterIPs: readonly string[] } => {
  const service = webhook.cluster
    .all()
    .find(({ kind, metadata }) => kind === "Service" && /-10-0-0-5-/.test(metadata.name ?? ""));
  const { clusterIPs } = service?.["spec"] as { clusterIPs: string[] };
  return { name: service?.metadata.name ?? "", clusterIPs };
};

t.test(
  "a host's own Service: its addresses are in the table before a pod has them, and are asked for when it is made again",
  async (t) => {
    let clock = 0;
    const webhook = setup({ now: () => clock });
    const first = await webhook.ask([ownService("a", "10.0.0.5")]);
    const { name, clusterIPs } = placeOf(webhook);
    t.match(first, { assignments: [{ host: `${name}.flowgen-gateway.svc`, port: 1433, clusterIPs }] });
    const table = {
      kind: "ConfigMap",
      namespace: "flowgen-gateway",
      name: "flowgen-wireguard-gateway-forwards",
    } as const;
    const text = ((await webhook.cluster.get(table, signal))?.["data"] as Record<string, string>)["table.json"];
    t.match(JSON.parse(text ?? ""), { version: 2, services: [{ name, clusterIPs }] });
    webhook.cluster.remove({ kind: "Service", namespace: "flowgen-gateway", name });
    clock += 31_000;
    t.match(await webhook.ask([ownService("a", "10.0.0.5")]), { assignments: [{ clusterIPs }] });
    t.strictSame(placeOf(webhook).clusterIPs, clusterIPs, "the same address");
  },
);

t.test("an address that another Service took is given up with a message, and the table has the new one", async (t) => {
  let clock = 0;
  const lost: unknown[] = [];
  const addressLost: NonNullable<LaneEvents["addressLost"]> = (_gateway, { host }, holders) =>
    lost.push([host, ...holders]);
  const webhook = setup({ now: () => clock, events: { addressLost } });
  await webhook.ask([ownService("a", "10.0.0.5")]);
  const { name, clusterIPs } = placeOf(webhook);
  webhook.cluster.remove({ kind: "Service", namespace: "flowgen-gateway", name });
  const spec = { clusterIP: clusterIPs[0], ports: [{ port: 80 }] };
  const thief = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "thief", namespace: "team-a" },
    spec,
  } as const;
  await webhook.cluster.create(thief, signal);
  clock += 31_000;
  const again = await webhook.ask([ownService("a", "10.0.0.5")]);
  const holders = "flowgen.io/gateway=flowgen-wireguard-gateway,target.flowgen.io/a=true";
  t.strictSame(lost, [["10.0.0.5", holders]]);
  t.match(
    webhook.cluster.all().find(({ kind }) => kind === "Event"),
    {
      type: "Warning",
      reason: "AddressLost",
      message: `another Service has ${clusterIPs[0] ?? ""}: pods whose hostAliases map 10.0.0.5 there must be restarted: kubectl get pods -A -l ${holders}`,
      involvedObject: { kind: "Service", name },
    },
  );
  const now = placeOf(webhook).clusterIPs;
  t.not(now[0], clusterIPs[0]);
  t.match(again, { assignments: [{ clusterIPs: now }] });
});

t.test("after a lost race for the table a replica reads the table alone, without pauses that grow", async (t) => {
  const calls: string[] = [];
  const pauses: number[] = [];
  let races = 0;
  const webhook = setup(
    {
      now: () => 0,
      random: () => 1,
      pause: async (ms) => {
        pauses.push(ms);
      },
    },
    {
      before: async ({ verb, ref }) => {
        calls.push(`${verb} ${ref.kind} ${ref.name.replace("flowgen-wireguard-gateway", "")}`);
        if (verb !== "apply" || !ref.name.endsWith("-forwards") || races === 0) return;
        races -= 1;
        await other([wantOf(`other-${races}`, `10.0.1.${races}`, 3000 + races)]);
      },
    },
  );
  const provision = createProvisioner(webhook.cluster, { scripts });
  const other = async (wants: readonly Want[]): Promise<void> => {
    const [kept, left] = [calls.length, races];
    races = 0;
    await provision({ config, gateway: gatewayOf(config), wants, write: true, signal: () => signal });
    calls.length = kept;
    races = left;
  };
  await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
  calls.length = 0;
  races = 20;
  t.match(await webhook.ask([wantOf("b", "10.0.0.6", 2)]), { assignments: [{ port: 2 }] });
  t.equal(races, 0);
  const tries = calls.filter((call) => call === "apply ConfigMap -forwards");
  t.equal(tries.length, 21);
  const first = calls.indexOf("apply ConfigMap -forwards");
  const last = calls.lastIndexOf("apply ConfigMap -forwards");
  t.strictSame(
    [...new Set(calls.slice(first, last + 1))],
    ["apply ConfigMap -forwards", "get ConfigMap -forwards"],
    "nothing else is read between two tries",
  );
  t.strictSame(pauses.slice(0, 14), [20, ...pauses.slice(1, 14).fill(40)], "while a race is likely");
  t.strictSame(pauses.slice(-3), [640, 1000, 1000], "then as after any other failure");
});

t.test("an object that others change all the time is written again, and nothing else is", async (t) => {
  let changes = 0;
  const told: string[] = [];
  const writes: string[] = [];
  const webhook = setup(
    { events: { conflict: ({ name }) => told.push(name) } },
    {
      before: ({ verb, ref }) => {
        if (verb === "apply") writes.push(ref.kind);
        if (verb !== "apply" || ref.kind !== "Service" || changes === 0) return;
        changes -= 1;
        webhook.cluster.edit("somebody", ref, (object) => {
          const { metadata } = object;
          return { ...object, metadata: { ...metadata, annotations: { ...metadata.annotations, note: `${changes}` } } };
        });
      },
    },
  );
  await webhook.ask([wantOf("a", "10.0.0.5", 1)]);
  changes = 3;
  writes.length = 0;
  t.match(await webhook.ask([wantOf("b", "10.0.0.6", 2)]), { assignments: [{ port: 2 }] });
  t.strictSame([changes, told], [0, []]);
  t.strictSame(writes.sort(), ["ConfigMap", "Service", "Service", "Service", "Service"]);
  const service = webhook.cluster.all().find(({ kind }) => kind === "Service");
  const ports = (service?.["spec"] as { ports: { port: number }[] }).ports.map(({ port }) => port);
  t.strictSame(
    ports.sort((one, two) => one - two),
    [1, 2, 1433],
  );
});

t.test("a Service of that name that is not the gateway's is never overwritten", async (t) => {
  const probe = setup();
  await probe.ask([ownService("a", "10.0.0.5")]);
  const { name } = placeOf(probe);
  const webhook = setup();
  const foreign = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "flowgen-gateway" },
    spec: { ports: [{ port: 80 }] },
  } as const;
  await webhook.cluster.create(foreign, signal);
  t.match(await webhook.ask([ownService("a", "10.0.0.5")]), {
    reason: "object-unmanaged",
    message: new RegExp(`^Service flowgen-gateway/${name}`),
  });
  t.match(
    webhook.cluster.all().find(({ metadata }) => metadata.name === name),
    { spec: { ports: [{ port: 80 }] } },
  );
});

t.test("a pod that is refused after its forwards are known leaves none behind", async (t) => {
  const webhook = setup();
  const gateway = gatewayOf(config);
  const objection = () => reject("srv-url", "spec");
  const wants = [wantOf("a", "10.0.0.5", 1)];
  const provision = createProvisioner(webhook.cluster, { scripts });
  const refused = await provision({ config, gateway, wants, objection, write: true, signal: () => signal });
  t.match(refused, { kind: "reject", reason: "srv-url" });
  t.strictSame(webhook.cluster.all(), []);
});

t.test("lanes of unused gateways are dropped, and made again on demand", async (t) => {
  let clock = 0;
  const webhook = setup({ now: () => clock });
  const ask = (namespace: string) => {
    const gateway = { ...gatewayOf(config), namespace };
    return webhook.provision({
      config,
      gateway,
      wants: [wantOf("a", "10.0.0.5", 1)],
      write: true,
      signal: () => signal,
    });
  };
  for (let at = 0; at < 100; at += 1) await ask(`ns-${at}`);
  clock += 31_000;
  const before = webhook.cluster.all().length;
  t.match(await ask("ns-100"), { kind: "assigned" });
  t.match(await ask("ns-0"), { kind: "assigned" });
  t.equal(webhook.cluster.all().length, before + 5, "nothing of ns-0 was made again");
});

t.test("a gateway of another name does not start while the former one holds its identity", async (t) => {
  const named = (name: string) =>
    configOf(`gateways: [{name: ${name}, namespace: flowgen-gateway, tunnels: [{name: wg0, secretName: a}]}]`);
  const webhook = setup();
  await webhook.ask([wantOf("mssql", "10.0.0.5", 1433)], { config: named("old") });
  const ask = () => webhook.ask([wantOf("mssql", "10.0.0.5", 1433)], { config: named("new") });
  const before = webhook.cluster.all().length;
  t.match(await ask(), {
    reason: "identity-held",
    message:
      /^Deployment flowgen-gateway\/old mounts the Secret a: another Deployment holds .*`flowgen-gateway adopt`; else scale it to 0/,
  });
  t.equal(webhook.cluster.all().length, before, "nothing is made");
  webhook.cluster.edit("admin", { kind: "Deployment", namespace: "flowgen-gateway", name: "old" }, (object) => ({
    ...object,
    spec: { ...(object["spec"] as object), replicas: 0 },
  }));
  t.match(await ask(), { kind: "assigned" });
  t.match(await webhook.ask([wantOf("b", "10.0.0.6", 1433)], { config: named("new") }), { kind: "assigned" });
});

t.test(
  "a gateway that was moved does not start while the former one holds its identity, as far as the webhook's rights go",
  async (t) => {
    const tunnels = (secret: string) => `tunnels: [{name: wg0, secretName: ${secret}}]`;
    const moved = (from: string) =>
      configOf(
        `defaultGateway: gw\ngateways: [{name: gw, namespace: here, ${tunnels("a")}}, {name: other, namespace: ${from}, ${tunnels("b")}}]`,
      );
    const disabled = configOf(
      `defaultGateway: gw\ngateways: [{name: gw, namespace: here, ${tunnels("a")}}, {name: former, namespace: there, enabled: false, ${tunnels("a")}}]`,
    );
    let isDenied = false;
    const webhook = setup(
      {},
      {
        before: (call) => {
          if (isDenied && call.verb === "list" && call.ref.namespace === "there")
            throw fault(call, 403, "Forbidden", "no rights there");
          return undefined;
        },
      },
    );
    const wants = [wantOf("mssql", "10.0.0.5", 1433)];
    const there = configOf(`gateways: [{name: gw, namespace: there, ${tunnels("a")}}]\ndefaultGateway: gw`);
    await webhook.ask(wants, { config: there });
    for (const config of [moved("there"), disabled])
      t.match(await webhook.ask(wants, { config }), {
        reason: "identity-held",
        message: /^Deployment there\/gw mounts the Secret a:/,
      });
    isDenied = true;
    t.match(await webhook.ask(wants, { config: disabled, write: false }), { kind: "assigned" }, "it cannot see it");
    isDenied = false;
    t.match(
      await webhook.ask(wants, { config: moved("elsewhere") }),
      { kind: "assigned" },
      "nor without a gateway there",
    );
    const both = configOf(
      `defaultGateway: new\ngateways: [{name: new, namespace: here, ${tunnels("a")}}, {name: gw, namespace: there, ${tunnels("a")}}]`,
    );
    t.match(
      await webhook.ask(wants, { config: both }),
      { reason: "identity-held" },
      "of a former name, in the namespace",
    );
  },
);

t.test("a gateway of the config's in another namespace holds a Secret of its own there", async (t) => {
  const webhook = setup();
  const two = (first: string) =>
    configOf(
      `defaultGateway: ${first}\ngateways: [{name: a, namespace: one, tunnels: [{name: wg0, secretName: s}]}, {name: b, namespace: two, tunnels: [{name: wg0, secretName: s}]}]`,
    );
  t.match(await webhook.ask([wantOf("x", "10.0.0.5", 1)], { config: two("a") }), { kind: "assigned" });
  const gateway = two("b").gateways[1];
  t.ok(gateway);
  const placed = { ...gatewayOf(two("b")), ...gateway, namespace: "two" };
  const result = await webhook.provision({
    config: two("b"),
    gateway: placed,
    wants: [wantOf("x", "10.0.0.5", 1)],
    write: true,
    signal: () => signal,
  });
  t.match(result, { kind: "assigned" });
});

/** A clock, and the calls that the cluster received. */
const countingWebhook = () => {
  const calls: MemoryCall[] = [];
  let clock = 0;
  const webhook = setup({ now: () => clock }, { before: async (call) => void calls.push(call) });
  return {
    ...webhook,
    pass: (ms: number) => (clock += ms),
    /** The number of calls since the last question. */
    made: () => calls.splice(0).length,
  };
};
t.test("pods for which nothing is written share one reading, and what was read serves the next ones", async (t) => {
  const webhook = countingWebhook();
  const wants = [wantOf("a", "10.0.0.5", 1)];
  const dry = (these = wants) => webhook.ask(these, { write: false });
  await dry();
  const reading = webhook.made();
  webhook.pass(31_000);
  const answers = await Promise.all(Array.from({ length: 50 }, () => dry()));
  t.match(answers[0], { kind: "assigned" });
  t.ok(answers.every((answer) => answer === answers[0]));
  t.ok(webhook.made() <= 2 * reading, "those that came during the reading are served by it");
  t.equal(await dry(), answers[0]);
  t.match(await dry([wantOf("b", "10.0.0.6", 1)]), { kind: "assigned" });
  t.equal(webhook.made(), 0);
  webhook.pass(31_000);
  await dry();
  t.equal(webhook.made(), reading);
  await dry([wantOf("c", "10.0.0.7", 9)]);
  await webhook.ask([wantOf("a", "10.0.0.8", 9)]);
  webhook.made();
  const after = await dry([wantOf("c", "10.0.0.7", 9)]);
  t.not(webhook.made(), 0, "a table was written meanwhile");
  t.match(after, { assignments: [{ isAssumed: true }] }, "port 9 is the other's now");
});

t.test("a dry run that fails is tried again, and names the cause", async (t) => {
  let fails = 1;
  const webhook = setup(
    { pause: async () => undefined },
    {
      before: async (call) => {
        if (fails-- > 0) throw fault(call, 503, "ServiceUnavailable", "no");
      },
    },
  );
  t.match(await webhook.ask([wantOf("a", "10.0.0.5", 1)], { write: false }), { kind: "assigned" });
});

t.test("lanes are bounded, and names of namespaces take no memory", async (t) => {
  const webhook = countingWebhook();
  const ask = (namespace: string) =>
    webhook.provision({
      config,
      gateway: { ...gatewayOf(config), namespace },
      wants: [wantOf("a", "10.0.0.5", 1)],
      write: false,
      signal: () => signal,
    });
  for (let at = 0; at < 501; at += 1) await ask(`ns-${at}`);
  webhook.made();
  await ask("ns-500");
  t.equal(webhook.made(), 0);
  await ask("ns-0");
  t.not(webhook.made(), 0, "its lane was dropped");
});
