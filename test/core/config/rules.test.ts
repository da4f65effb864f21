// Two teams on one WireGuard peer get different servers.
import t from "tap";
import { readConfig } from "../../../src/core/config/config.ts";
import { allocate } from "../../../src/core/forwards/allocate.ts";
import { emptyTable } from "../../../src/core/forwards/table.ts";
import { tableData } from "../../../src/core/gateway/manifests.ts";
import { networkPolicyManifest } from "../../../src/core/gateway/policy.ts";
import { planPod } from "../../../src/core/plan.ts";
import { configOf, gatewayOf, podOf, wantOf } from "../../making.ts";

const SERVERS = {
  all: "10.0.0.1:5432",
  teamA: "10.0.0.2:1433",
  everyTeam: "10.0.0.3:80",
};
const tunnel = `name: wg0, secretName: a, allowedTargets: ["${SERVERS.all}"], rules: [
  {namespaces: [team-a], allowedTargets: ["${SERVERS.teamA}"]},
  {namespaces: ["team-*"], allowedTargets: ["${SERVERS.everyTeam}"]}]`;
const withTunnel = (more: string) => configOf(`gateways: [{namespace: g, tunnels: [{${tunnel}${more}}]}]`);
const config = withTunnel("");

const outcome = (target: string, namespace: string, from = config): string => {
  const plan = planPod(podOf(`x=${target}`), namespace, from);
  return plan.kind === "reject" ? plan.reason : plan.kind;
};

t.test("a rule grants its targets to its namespaces alone, beside what the tunnel grants to all", async (t) => {
  const rows = ["team-a", "team-b", "other"].map((namespace) =>
    Object.values(SERVERS).map((target) => outcome(target, namespace)),
  );
  t.strictSame(rows, [
    ["plan", "plan", "plan"],
    ["plan", "tunnel-namespace", "plan"],
    ["plan", "tunnel-namespace", "tunnel-namespace"],
  ]);
  t.equal(outcome("10.0.0.9:1433", "team-a"), "target-not-allowed", "no rule grants it");
});

t.test("the tunnel's own namespaces bound its rules", async (t) => {
  const bounded = withTunnel(", namespaces: [team-a, ops]");
  const rows = ["team-a", "team-b", "ops"].map((namespace) =>
    Object.values(SERVERS).map((target) => outcome(target, namespace, bounded)),
  );
  t.strictSame(rows, [
    ["plan", "plan", "plan"],
    ["tunnel-namespace", "tunnel-namespace", "tunnel-namespace"],
    ["plan", "tunnel-namespace", "tunnel-namespace"],
  ]);
});

t.test("the network policy names the namespaces that the config grants, of a pattern those that asked", async (t) => {
  const gateway = gatewayOf(config);
  const asked = (namespace: string) => ({
    wants: Object.values(SERVERS).map((server, at) => {
      const [host = "", port] = server.split(":");
      return wantOf(`s${at}`, host, Number(port), { namespace });
    }),
  });
  // The table may name more than the config grants today, as after a change of the config.
  const { table } = allocate(emptyTable, gateway, [asked("team-b"), asked("team-a"), asked("other")]);
  const selectors = (from: typeof gateway) =>
    (networkPolicyManifest(from, table, config.podSelector)["spec"] as Spec).ingress
      .slice(0, -1) // the last one is of the metrics
      .map(({ from: [peer] }) => peer?.namespaceSelector.matchExpressions?.[0]?.values ?? "all");
  t.strictSame(selectors(gateway), ["all", ["team-a"], ["team-a", "team-b"]]);
  const bounded = gatewayOf(withTunnel(', namespaces: ["*-b", team-c, team-a]'));
  const named = ["team-a", "team-b", "team-c"];
  t.strictSame(selectors(bounded), [named, ["team-a"], named], "team-c is named, team-b asked");
  const revoked = gatewayOf(
    configOf(`gateways: [{namespace: g, tunnels: [{${tunnel.replace("10.0.0.2", "10.0.0.9")}}]}]`),
  );
  t.equal(tableData(revoked, table).forwards, "5432 10.0.0.1 5432 wg0\n1024 10.0.0.3 80 wg0\n");
  t.match(JSON.parse(tableData(revoked, table)["table.json"]), { forwards: { length: 3 } }, "its place is kept");
});
type Spec = {
  readonly ingress: readonly {
    readonly from: readonly {
      readonly namespaceSelector: { readonly matchExpressions?: readonly { readonly values: readonly string[] }[] };
    }[];
  }[];
};

t.test("a gateway in each namespace serves what its own namespace may reach", async (t) => {
  const own = { ...gatewayOf(configOf(`gateways: [{tunnels: [{${tunnel}}]}]`)), namespace: "team-b" };
  const wants = Object.values(SERVERS).map((server, at) => {
    const [host = "", port] = server.split(":");
    return wantOf(`s${at}`, host, Number(port), { namespace: "team-b" });
  });
  const { table } = allocate(emptyTable, own, [{ wants }]);
  t.equal(tableData(own, table).forwards, "5432 10.0.0.1 5432 wg0\n1024 10.0.0.3 80 wg0\n");
});

t.test("rules and namespaces that grant nothing, or not what they say, are refused with the reason", async (t) => {
  for (const [more, problem] of [
    ['namespaces: ["*"]', /namespaces\[0\]: "\*" is every namespace: leave the list out/],
    ['namespaces: ["a*b*"]', /"a\*b\*" is not the name of a namespace, nor a pattern with one \*/],
    ["namespaces: [Team]", /"Team" is not the name/],
    ["rules: [{namespaces: [], allowedTargets: [10.0.0.1]}]", /rules\[0\]\.namespaces: names no namespace/],
    ["rules: [{namespaces: [a], allowedTargets: []}]", /rules\[0\]\.allowedTargets: grants nothing/],
    ["rules: [{namespaces: [a]}]", /rules\[0\]\.allowedTargets: not a list/],
    [
      "namespaces: [a], rules: [{namespaces: [b], allowedTargets: [10.0.0.1]}]",
      /rules\[0\]\.namespaces\[0\]: "b" may not use the tunnel: add it to the tunnel's namespaces/,
    ],
  ] as const) {
    const read = readConfig(`gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, ${more}}]}]`);
    t.match(read.kind === "invalid" ? read.problems.join("\n") : "accepted", problem, more);
  }
  for (const pattern of ["team-*", "*-prod", "a*z"])
    t.ok(configOf(`gateways: [{tunnels: [{name: wg0, secretName: a, namespaces: ["${pattern}"]}]}]`));
});
