import t from "tap";
import type { PlacedGateway } from "../../../src/core/config/config.ts";
import { deploymentManifest, selectorOf } from "../../../src/core/gateway/deployment.ts";
import { disruptionBudgetManifest, podsManifest } from "../../../src/core/gateway/company.ts";
import { podLabels, serviceManifest } from "../../../src/core/gateway/manifests.ts";
import { networkPolicyManifest } from "../../../src/core/gateway/policy.ts";
import { hasSiblings, siblingsOf } from "../../../src/core/gateway/siblings.ts";
import { SIBLING_LABEL } from "../../../src/core/names.ts";
import { emptyTable } from "../../../src/core/forwards/table.ts";
import { configOf, gatewayOf, scripts } from "../../making.ts";

const gatewayWith = (secrets: string, more = ""): PlacedGateway =>
  gatewayOf(configOf(`gateways: [{name: gw, namespace: n, ${more}tunnels: [{name: wg0, secretNames: [${secrets}]}]}]`));
const live = (gateway: PlacedGateway, name: string, secretName: string): { metadata: { name: string } } =>
  JSON.parse(JSON.stringify(deploymentManifest(gateway, scripts, { name, secretName }))) as {
    metadata: { name: string };
  };
t.test("a gateway without tunnels has no identity", async (t) => {
  const none = { ...gatewayWith("a"), tunnels: [] };
  t.match(deploymentManifest(none, scripts), { metadata: { name: "gw" } });
});

const told = (gateway: PlacedGateway, ...deployments: readonly { metadata: { name: string } }[]): string =>
  siblingsOf(gateway, deployments)
    .map(({ name, secretName }) => `${name}=${secretName}`)
    .join(" ");

t.test("each identity has a Deployment, and keeps the one that it has", async (t) => {
  const two = gatewayWith("a, b");
  const [gw, gwB] = [live(two, "gw", "a"), live(two, "gw-b", "b")];
  t.equal(told(two), "gw=a gw-b=b", "new");
  t.equal(told(gatewayWith("b, a"), gw, gwB), "gw=a gw-b=b", "another order changes nothing");
  t.equal(told(gatewayWith("a, b, c"), gw, gwB), "gw=a gw-b=b gw-c=c", "one more");
  t.equal(told(gatewayWith("b"), gw, gwB), "gw-b=b", "the one that is left stays where it is");
  t.equal(
    told(gatewayWith("c, b"), gw, gwB),
    "gw=c gw-b=b",
    "another identity goes to the Deployment that lost its own",
  );
  t.equal(told(gatewayWith("c, b, d"), gw, gwB), "gw=c gw-b=b gw-c=d");
  t.equal(told(two, gw, live(two, "gw-b", "a")), "gw=a gw-b=b", "two with one identity: the first keeps it");
  t.equal(told(two, { metadata: { name: "gw" } }), "gw=a gw-b=b", "a Deployment that mounts nothing");
  t.equal(told(two, { metadata: {} } as never), "gw=a gw-b=b", "or has no name");
  t.equal(hasSiblings(two), true);
  t.equal(hasSiblings(gatewayWith("a")), false);
  t.equal(hasSiblings({ tunnels: [] }), false);
});

t.test(
  "a sibling has a label of its own and one Secret; a change of the number of identities changes no template",
  async (t) => {
    const two = gatewayWith("a, b");
    t.strictSame(selectorOf(two, "gw"), podLabels(two));
    t.strictSame(selectorOf(two, "gw-b"), { ...podLabels(two), "flowgen.io/sibling": "gw-b" });
    const text = JSON.stringify(live(two, "gw-b", "b"));
    t.match(text, '"secretName":"b"');
    t.notMatch(text, '"secretName":"a"');
    t.strictSame(live(gatewayWith("a, b, c"), "gw", "a"), live(gatewayWith("a"), "gw", "a"));
  },
);

t.test("pods are on two nodes where that can be, beside the affinity of the config", async (t) => {
  const term = { weight: 1, podAffinityTerm: { topologyKey: "zone" } };
  const affinity = `affinity: {nodeAffinity: {}, podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [${JSON.stringify(term)}]}}, `;
  t.match(live(gatewayWith("a, b", affinity), "gw", "a"), {
    spec: {
      template: {
        spec: {
          affinity: {
            nodeAffinity: {},
            podAntiAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [
                term,
                { weight: 100, podAffinityTerm: { topologyKey: "kubernetes.io/hostname" } },
              ],
            },
          },
        },
      },
    },
  });
});

t.test("a pod that ends does not keep its successor from its node", async (t) => {
  const avoided = (name: string, secret: string): unknown =>
    JSON.parse(
      /"matchExpressions":(\[.*?\}\])/.exec(JSON.stringify(live(gatewayWith("a, b"), name, secret)))?.[1] ?? "null",
    );
  t.strictSame(avoided("gw", "a"), [{ key: SIBLING_LABEL, operator: "Exists" }]);
  t.strictSame(avoided("gw-b", "b"), [{ key: SIBLING_LABEL, operator: "NotIn", values: ["gw-b"] }]);
});

t.test("further objects of several identities", async (t) => {
  const [one, two] = [gatewayWith("a"), gatewayWith("a, b", "egress: [], ")];
  t.match(podsManifest(two), {
    metadata: { name: "gw-pods" },
    spec: { clusterIP: "None", publishNotReadyAddresses: true },
  });
  t.match(disruptionBudgetManifest(two), { metadata: { name: "gw" }, spec: { maxUnavailable: 1 } });
  const forward = { name: "x", tunnel: "wg0", targetHost: "10.0.0.5", targetPort: 1, listenPort: 1025 };
  const ports = (gateway: PlacedGateway, servicePort: number): readonly number[] => {
    const { spec } = serviceManifest(gateway, { ...emptyTable, forwards: [{ ...forward, servicePort }] });
    return (spec as { ports: readonly { port: number }[] }).ports.map(({ port }) => port);
  };
  t.strictSame(ports(two, 1), [1, 65535], "its pods ask the Service which of them serve");
  t.strictSame(ports(one, 1), [1]);
  t.strictSame(ports(two, 65535), [65535], "a forward that had the port before keeps it");
  const policyOf = (gateway: PlacedGateway): string =>
    JSON.stringify(
      networkPolicyManifest(
        gateway,
        emptyTable,
        configOf("gateways: [{namespace: n, tunnels: [{name: wg0, secretName: a}]}]").podSelector,
      )["spec"],
    );
  t.equal(policyOf(two).split('"port":65535').length - 1, 2, "in and out");
  t.notMatch(policyOf(one), '"port":65535');
});
