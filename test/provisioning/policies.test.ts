// A gateway with more forwards than one NetworkPolicy takes, and policies that the API server refuses.
import t from "tap";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { fault, type MemoryCall } from "../../src/emulator/store.ts";
import { createProvisioning } from "../../src/provisioning/provisioner.ts";
import type { Want } from "../../src/core/target.ts";
import { configOf, gatewayOf, scripts, wantOf } from "../making.ts";

const config = configOf(`
gateways:
  - name: gw
    namespace: vpn
    maxForwards: 500
    maxForwardsPerNamespace: 500
    tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]
`);
const gateway = gatewayOf(config);
const { signal } = new AbortController();
const wants = (from: number, to: number): Want[] =>
  Array.from({ length: to - from }, (_, at) => wantOf(`t${from + at}`, `10.0.0.5`, 2000 + from + at));

type Rule = { readonly ports: readonly { readonly port: number }[] };
/** The ports that each policy opens, by its name. */
const portsIn = (cluster: MemoryCluster): Readonly<Record<string, readonly number[]>> =>
  Object.fromEntries(
    cluster.all().flatMap((object) => {
      if (object.kind !== "NetworkPolicy") return [];
      const { ingress = [] } = object["spec"] as { readonly ingress?: readonly Rule[] };
      const ports = ingress.flatMap((rule) => rule.ports.map(({ port }) => port)).filter((port) => port < 60_000);
      return [[object.metadata.name ?? "", ports]];
    }),
  );
const countsIn = (cluster: MemoryCluster): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(portsIn(cluster)).map(([name, { length }]) => [name, length]));

/** `refuse`: policies that the API server does not take. */
const setup = (refuse = new Set<string>()) => {
  const cluster = createMemoryCluster({
    before: (call: MemoryCall) => {
      if (call.verb === "apply" && call.ref.kind === "NetworkPolicy" && refuse.has(call.ref.name))
        throw fault(call, 403, "Forbidden", "exceeded quota");
      return undefined;
    },
  });
  /** A replica that has just started. */
  const replica = () => createProvisioning(cluster, { scripts });
  const ask = ({ provision }: ReturnType<typeof replica>, asked: readonly Want[]) =>
    provision({ config, gateway, wants: asked, write: true, signal: () => signal });
  return { cluster, refuse, replica, ask };
};

t.test("500 forwards are in three policies, and each stays where it is", async (t) => {
  const { cluster, replica, ask } = setup();
  const webhook = replica();
  await ask(webhook, wants(0, 150));
  t.strictSame(countsIn(cluster), { gw: 150 });
  await ask(webhook, wants(150, 450));
  t.strictSame(countsIn(cluster), { gw: 200, "gw.2": 200, "gw.3": 50 });
  const before = portsIn(cluster);
  await ask(replica(), wants(450, 500));
  for (const [name, ports] of Object.entries(before))
    t.strictSame(portsIn(cluster)[name]?.slice(0, ports.length), ports);
  cluster.remove({ kind: "NetworkPolicy", namespace: "vpn", name: "gw.2" });
  t.strictSame(await webhook.repair(config, "drift", () => signal), []);
  t.strictSame(countsIn(cluster), { gw: 200, "gw.2": 200, "gw.3": 100 });
});

t.test("a refused policy keeps no admitted pod out, also at a replica that has just started", async (t) => {
  const { cluster, refuse, replica, ask } = setup();
  const first = replica();
  await ask(first, wants(0, 250));
  refuse.add("gw.2");
  await t.rejects(ask(first, wants(250, 251)), { code: 403 });
  for (const webhook of [first, replica()]) {
    const all = await Promise.allSettled([
      ask(webhook, wants(0, 1)),
      ask(webhook, wants(249, 250)),
      ask(webhook, wants(250, 251)),
      ask(webhook, [...wants(0, 1), ...wants(251, 252)]),
    ]);
    t.strictSame(
      all.map(({ status }) => status),
      ["fulfilled", "fulfilled", "rejected", "rejected"],
    );
    await t.rejects(ask(webhook, wants(250, 251)), { code: 403 }, "not from the cache either");
    t.match(await ask(webhook, wants(249, 250)), { kind: "assigned" });
  }
  t.match(await replica().repair(config, "drift", () => signal), [{ why: { code: 403 } }], "it is reported");
  t.strictSame(countsIn(cluster), { gw: 200, "gw.2": 50 });
  refuse.clear();
  t.match(await ask(first, wants(250, 251)), { kind: "assigned" });
  t.strictSame(countsIn(cluster), { gw: 200, "gw.2": 52 });
});

t.test("rules of a table with one policy leave the first policy when the others have them", async (t) => {
  const { cluster, refuse, replica, ask } = setup();
  await ask(replica(), wants(0, 250));
  // As an earlier version left it: all rules in the first policy.
  const table = { kind: "ConfigMap", namespace: "vpn", name: "gw-forwards" } as const;
  cluster.edit("flowgen-gateway-webhook", table, (object) => {
    const data = object["data"] as Record<string, string>;
    return { ...object, data: { ...data, "table.json": data["table.json"]?.replaceAll(',"policy":2', "") } };
  });
  const { ingress } = cluster.all().find(({ metadata }) => metadata.name === "gw.2")?.["spec"] as {
    ingress: object[];
  };
  cluster.remove({ kind: "NetworkPolicy", namespace: "vpn", name: "gw.2" });
  cluster.edit("flowgen-gateway-webhook", { kind: "NetworkPolicy", namespace: "vpn", name: "gw" }, (object) => {
    const spec = object["spec"] as { ingress: object[] };
    return { ...object, spec: { ...spec, ingress: [...spec.ingress, ...ingress] } };
  });
  t.strictSame(countsIn(cluster), { gw: 250 });
  refuse.add("gw.2");
  t.match(await ask(replica(), wants(249, 250)), { kind: "assigned" });
  t.strictSame(countsIn(cluster), { gw: 250 }, "every forward stays open");
  refuse.clear();
  t.match(await ask(replica(), wants(249, 250)), { kind: "assigned" });
  t.strictSame(countsIn(cluster), { gw: 200, "gw.2": 50 });
});

t.test("a policy that lost its forwards stays, empty", async (t) => {
  const { cluster, replica, ask } = setup();
  const webhook = replica();
  await ask(webhook, wants(0, 205));
  const change = <T extends { readonly forwards: readonly unknown[] }>(table: T): T => ({
    ...table,
    forwards: table.forwards.slice(0, 100),
    removals: 1,
  });
  await webhook.provision({ config, gateway, wants: [], write: true, repair: "drift", change, signal: () => signal });
  t.strictSame(countsIn(cluster), { gw: 100, "gw.2": 0 });
});

t.test("another owner's policy of such a name is never overwritten", async (t) => {
  const { cluster, replica, ask } = setup();
  const spec = { podSelector: {}, policyTypes: ["Ingress"] };
  const foreign = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", spec } as const;
  await cluster.create({ ...foreign, metadata: { name: "gw.2", namespace: "vpn" } }, signal);
  t.match(await ask(replica(), wants(0, 201)), { reason: "object-unmanaged", message: /^NetworkPolicy vpn\/gw.2/ });
});
