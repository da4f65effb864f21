import t from "tap";
import type { Forward } from "../../../src/core/forwards/table.ts";
import { admitsTo, hasRule, networkPolicyManifest } from "../../../src/core/gateway/policy.ts";
import { configOf, gatewayOf } from "../../making.ts";

const granted = (namespaces: string) =>
  configOf(`gateways: [{name: gw, namespace: vpn, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.5:1433]${namespaces}}]}]`); // prettier-ignore
const forward = (targetHost: string): Forward => ({
  ...{ name: "sql", tunnel: "wg0", targetHost, targetPort: 1433, listenPort: 1433, servicePort: 1433 },
});
const sql = forward("10.0.0.5");
const table = { forwards: [sql], services: [] };

for (const [grant, namespace, wanted] of [
  [", namespaces: [team-a]", "team-a", true],
  [", namespaces: [team-a]", "team-b", false],
  ["", "team-b", true],
] as const) {
  const config = granted(grant);
  const gateway = gatewayOf(config);
  const policy = networkPolicyManifest(gateway, table, config.podSelector);
  t.test(`pods of ${namespace}, granted${grant || " to all"}: ${wanted}`, async (t) => {
    t.ok(hasRule(policy, sql));
    t.equal(admitsTo(policy, gateway, sql, config.podSelector, namespace), wanted);
  });
}

const config = granted("");
const gateway = gatewayOf(config);
const rule = { ports: [{ protocol: "TCP", port: 1433 }] };

t.test("a policy that is missing, or lacks the forward, admits no pod", async (t) => {
  for (const policy of [undefined, {}, { spec: {} }, { spec: { ingress: [{}, { from: [] }] } }]) {
    t.notOk(hasRule(policy, sql));
    t.notOk(admitsTo(policy, gateway, sql, config.podSelector, "team-a"));
  }
  t.notOk(admitsTo({ spec: { ingress: [rule] } }, gateway, sql, config.podSelector, "team-a"), "a rule without peers");
});

t.test("a forward that the config does not grant is admitted by no policy", async (t) => {
  const other = forward("10.0.0.6");
  const policy = networkPolicyManifest(gateway, table, config.podSelector);
  t.notOk(admitsTo(policy, gateway, other, config.podSelector, "team-a"));
});
