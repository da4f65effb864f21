import t from "tap";
import type { PlacedGateway } from "../../../src/core/config/config.ts";
import { deploymentManifest } from "../../../src/core/gateway/deployment.ts";
import { configOf, gatewayOf, scripts } from "../../making.ts";

const gateway = gatewayOf(
  configOf("gateways: [{namespace: flowgen-gateway, tunnels: [{name: wg0, secretName: wireguard-client-a}]}]"),
);

t.test("the Deployment depends on the scripts", async (t) => {
  const template = (hash: string) => JSON.stringify(deploymentManifest(gateway, { ...scripts, hash }));
  t.equal(template("a"), template("a"));
  t.not(template("a"), template("b"));
});

t.test("pull secrets", async (t) => {
  t.match(deploymentManifest({ ...gateway, imagePullSecrets: [{ name: "regcred" }] }, scripts), {
    spec: { template: { spec: { imagePullSecrets: [{ name: "regcred" }] } } },
  });
});

type Container = {
  readonly env: { readonly name: string; readonly value: string }[];
  readonly securityContext: unknown;
};
const pod = (changes: Partial<PlacedGateway>) => {
  const { spec } = deploymentManifest({ ...gateway, ...changes }, scripts) as unknown as {
    spec: { template: { spec: { containers: [Container, Container] } } };
  };
  const [wireguard, portForward] = spec.template.spec.containers;
  return { wireguard, portForward };
};

t.test("the admin's env come before what the webhook sets itself", async (t) => {
  const { wireguard } = pod({ env: [{ name: "MAX_HANDSHAKE_AGE", value: "240" }] });
  t.strictSame(wireguard.env, [
    { name: "MAX_HANDSHAKE_AGE", value: "240" },
    { name: "DRAIN", value: "0.5" },
  ]);
});

t.test("the kernel forwards where the config says so", async (t) => {
  for (const forwarder of ["auto", "socat"] as const) t.strictSame(pod({ forwarder }), pod({}), forwarder);
  const { wireguard, portForward } = pod({ forwarder: "kernel" });
  t.match(wireguard.env.at(-1), { name: "FORWARDER", value: "kernel" });
  t.match(wireguard.securityContext, { capabilities: { drop: ["ALL"], add: ["NET_ADMIN", "NET_RAW"] } });
  t.strictSame(portForward, pod({}).portForward, "the socat container is the same");
});

t.test("the container with the tunnels has what it needs and no more, or what the admin says", async (t) => {
  const context = (securityContext: Record<string, unknown>) => pod({ securityContext }).wireguard.securityContext;
  t.strictSame(context({}), { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"], add: [] } });
  t.strictSame(context({ allowPrivilegeEscalation: true, capabilities: { add: ["NET_ADMIN"], drop: ["CHOWN"] } }), {
    allowPrivilegeEscalation: true,
    capabilities: { add: ["NET_ADMIN"], drop: ["CHOWN"] },
  });
  for (const admin of [{ privileged: true }, { capabilities: { add: ["SYS_ADMIN"] } }])
    t.strictSame(context(admin), admin, "the API server refuses less beside it");
});
