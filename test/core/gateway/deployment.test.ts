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
  readonly image: string;
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly securityContext: unknown;
  readonly resources: { readonly limits: unknown };
  readonly volumeMounts: readonly { readonly name: string }[];
};
type Template = {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>> & {
    readonly initContainers: readonly [Container];
    readonly containers: readonly [Container, Container];
    readonly volumes: readonly { readonly name: string }[];
  };
};
const template = (from: PlacedGateway): Template =>
  (deploymentManifest(from, scripts) as unknown as { spec: { template: Template } }).spec.template;
const written = (fields: string): PlacedGateway =>
  gatewayOf(configOf(`gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a}], ${fields}}]`));
const pod = (changes: Partial<PlacedGateway>) => {
  const { initContainers, containers, volumes } = template({ ...gateway, ...changes }).spec;
  return { init: initContainers[0], wireguard: containers[0], portForward: containers[1], volumes };
};
const valueOf = ({ env }: Container, name: string): string | undefined => env.find((item) => item.name === name)?.value;

t.test("the tun device is mounted only where wireguard-go is to be used", async (t) => {
  for (const userspace of ["auto", false, true] as const) {
    const { init, wireguard, volumes } = pod({ userspace });
    const holders = [volumes, init.volumeMounts, wireguard.volumeMounts].map((list) =>
      list.some(({ name }) => name === "tun"),
    );
    t.strictSame(holders, userspace === true ? [true, true, true] : [false, false, false], String(userspace));
    t.equal(valueOf(wireguard, "USERSPACE"), String(userspace));
  }
});

t.test("the settings of each tunnel for the scripts", async (t) => {
  const from = gatewayOf(
    configOf(
      "gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a}, {name: wg1, secretName: b, secretKey: client.conf, mtu: 1380}]}]",
    ),
  );
  const { init, wireguard, volumes } = pod(from);
  for (const container of [init, wireguard])
    t.equal(valueOf(container, "TUNNELS"), "wg0 a wg0.conf\nwg1 b client.conf 1380");
  t.match(
    volumes.find(({ name }) => name === "tunnel-1"),
    { secret: { secretName: "b", items: [{ key: "client.conf", path: "wg1.conf" }] } },
  );
});

t.test("images by digest and from a mirror", async (t) => {
  const digest = `sha256:${"0".repeat(64)}`;
  const images = (fields: string) => {
    const { initContainers, containers } = template(written(fields)).spec;
    return [initContainers[0], ...containers].map(({ image }) => image);
  };
  const mine = "ghcr.io/linuxserver/wireguard:1.0.20250521-r1-ls105";
  t.strictSame(images(""), [mine, mine, "alpine/socat:1.8.0.1"]);
  t.equal(images(`image: {digest: "${digest}"}`)[1], `${mine}@${digest}`);
  const mirrored = mine.replace("ghcr.io", "mirror.example.com:5000/hub");
  t.strictSame(images("imageRegistry: mirror.example.com:5000/hub"), [
    mirrored,
    mirrored,
    "mirror.example.com:5000/hub/alpine/socat:1.8.0.1",
  ]);
  t.equal(images("imageRegistry: m.example.com, socat: {image: 'localhost/socat:1'}")[2], "m.example.com/socat:1");
});

t.test("an admin's fields of pods", async (t) => {
  const { metadata, spec } = template(
    written(
      "podAnnotations: {a/b: c, linkerd.io/inject: enabled}, podLabels: {team: x}, priorityClassName: high, serviceAccountName: sa, runtimeClassName: rc, dnsConfig: {options: [{name: ndots}]}, topologySpreadConstraints: [{maxSkew: 1}], nodeSelector: {pool: vpn}",
    ),
  );
  t.match(metadata, {
    annotations: { "a/b": "c", "linkerd.io/inject": "enabled", "sidecar.istio.io/inject": "false" },
    labels: { team: "x", "istio.io/dataplane-mode": "none", "app.kubernetes.io/component": "wireguard-gateway" },
  });
  t.match(spec, {
    priorityClassName: "high",
    serviceAccountName: "sa",
    runtimeClassName: "rc",
    dnsConfig: { options: [{ name: "ndots" }] },
    topologySpreadConstraints: [{ maxSkew: 1 }],
    nodeSelector: { "kubernetes.io/os": "linux", pool: "vpn" },
  });
  t.notOk("priorityClassName" in template(gateway).spec, "a field that the config lacks is absent");
});

t.test("the socat container's memory and each port's sessions follow maxForwards", async (t) => {
  const socat = (fields: string) => {
    const { resources, env } = template(written(fields)).spec.containers[1];
    return [resources.limits, env.find(({ name }) => name === "MAX_CHILDREN")?.value];
  };
  t.strictSame(socat(""), [{ memory: "664Mi" }, "600"], "200 forwards");
  t.strictSame(socat("maxForwards: 500"), [{ memory: "964Mi" }, "600"]);
  t.strictSame(socat("socat: {resources: {limits: {memory: 2Gi, cpu: 1}}}"), [{ memory: "2048Mi", cpu: 1 }, "2676"]);
  t.strictSame(
    socat("socat: {resources: {limits: {memory: 32Mi}}}"),
    [{ memory: "314Mi" }, "75"],
    "the chart's is raised",
  );
  t.strictSame(socat("socat: {resources: {limits: {memory: 1e9}}}"), [{ memory: "954Mi" }, "1035"]);
});

t.test("a context of the socat container for old kernels", async (t) => {
  const { portForward } = pod(
    written("socat: {securityContext: {runAsUser: 0, runAsNonRoot: false, capabilities: {add: [NET_RAW]}}}"),
  );
  t.match(portForward.securityContext, {
    runAsUser: 0,
    capabilities: { add: ["NET_RAW"] },
    readOnlyRootFilesystem: true,
  });
});

t.test("the admin's env come before what the webhook sets itself", async (t) => {
  const { wireguard } = pod({ env: [{ name: "MAX_HANDSHAKE_AGE", value: "240" }] });
  t.strictSame(wireguard.env.slice(0, 2), [
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
