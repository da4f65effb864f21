import t from "tap";
import { holderFindings } from "../../../src/core/gateway/holders.ts";
import { deploymentManifest } from "../../../src/core/gateway/deployment.ts";
import { configOf, gatewayOf, scripts } from "../../making.ts";

const gateway = gatewayOf(configOf("gateways: [{name: gw, namespace: vpn, tunnels: [{name: wg0, secretName: key}]}]"));
const deployment = (
  name: string,
  secret: string,
  more: { replicas?: number; manager?: string; namespace?: string } = {},
) => {
  const { replicas = 1, manager = "flowgen-gateway-webhook", namespace = "vpn" } = more;
  const volumes = [
    { name: "scripts", configMap: { name: "x" } },
    { name: "wg0", secret: { secretName: secret } },
  ];
  const labels = { "app.kubernetes.io/managed-by": manager };
  return { metadata: { name, namespace, labels }, spec: { replicas, template: { spec: { volumes } } } };
};
const found = (...deployments: readonly unknown[]) =>
  holderFindings(deployments, [gateway]).map(({ reason, namespace, name }) => `${reason} ${namespace}/${name}`);

t.test("the config's gateways are as they should be", async (t) => {
  t.strictSame(found(deploymentManifest(gateway, scripts)), []);
  t.strictSame(found(deployment("gw", "key"), deployment("gw", "key", { manager: "Helm", namespace: "other" })), []);
});

t.test("a gateway of the webhook's that the config does not know", async (t) => {
  t.strictSame(found(deployment("old", "other")), ["orphan vpn/old"]);
  t.strictSame(found(deployment("gw", "key", { namespace: "elsewhere" })), ["orphan elsewhere/gw"]);
  t.strictSame(
    found(deployment("chart", "other", { manager: "Helm" })),
    [],
    "another manager's Deployment is no orphan",
  );
  const says = (secret: string): string | undefined =>
    holderFindings([deployment("gw", secret, { namespace: "elsewhere" })], [gateway])[0]?.says;
  t.match(says("key"), /its pod holds a Secret of the name that vpn\/gw mounts;/);
  t.match(says("other"), /its pod holds its WireGuard identity;/);
});

t.test("two gateways that mount one Secret, made by the webhook or not", async (t) => {
  const chart = deployment("chart", "key", { manager: "Helm" });
  t.strictSame(found(deploymentManifest(gateway, scripts), chart), [
    "identity-twice vpn/gw",
    "identity-twice vpn/chart",
  ]);
  t.strictSame(
    found(deploymentManifest(gateway, scripts), deployment("chart", "key", { manager: "Helm", replicas: 0 })),
    [],
  );
  const otherKey = {
    ...chart,
    spec: {
      ...chart.spec,
      template: { spec: { volumes: [{ secret: { secretName: "key", items: [{ key: "other.conf" }] } }] } },
    },
  };
  t.strictSame(
    found(deploymentManifest(gateway, scripts), otherKey),
    [],
    "another key of the Secret is another identity",
  );
  const [first] = holderFindings([deploymentManifest(gateway, scripts), chart], [gateway]);
  t.match(first?.says, /the Secret vpn\/key, as chart does/);
});

t.test("an object without a Deployment's fields is left out", async (t) => {
  t.strictSame(found({}, null, { metadata: { name: "x", namespace: "vpn" } }), []);
});
