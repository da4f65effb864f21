import type { PlacedGateway } from "./config.ts";

/** Where the gateway's scripts look for things (src/gateway). */
const DIRECTORY = "/etc/flowgen-gateway";
const SCRIPTS = `${DIRECTORY}/scripts`;

/**
 * Seconds that sessions have to end after SIGTERM; new ones are refused meanwhile. Short, because of a pod that is deleted or
 * evicted the successor starts at once: both hold the identity until the first one is done, and the server answers the one that spoke
 * last. It takes the successor longer than this to speak.
 */
const DRAIN = 1;
const GRACE = DRAIN + 5;

const script = (name: string, ...args: readonly string[]): readonly string[] => ["sh", `${SCRIPTS}/${name}`, ...args];
/** `probe.sh` says for either container whether it is ready or alive; why so, it says itself. */
const probes = (part: "tunnel" | "forward"): Readonly<Record<string, unknown>> => {
  const exec = (question: "ready" | "live"): unknown => ({ command: script("probe.sh", question, part) });
  return {
    readinessProbe: { exec: exec("ready"), timeoutSeconds: 5, periodSeconds: 5, failureThreshold: 1 },
    livenessProbe: {
      exec: exec("live"),
      timeoutSeconds: 5,
      periodSeconds: 10,
      failureThreshold: 3,
      initialDelaySeconds: 10,
    },
  };
};

const mount = (name: string, mountPath: string, readOnly = true): unknown => ({
  name,
  mountPath,
  ...(readOnly && { readOnly }),
});
const scriptsMount = mount("scripts", SCRIPTS);
const tableMount = mount("table", `${DIRECTORY}/table`);
const upMount = (readOnly: boolean): unknown => mount("up", "/run/flowgen-tunnels", readOnly);

/** A Secret is mounted as a directory, one a tunnel: a subPath would never see a changed key. */
const tunnelMounts = (gateway: PlacedGateway): readonly unknown[] =>
  gateway.tunnels.map((tunnel, index) => mount(`tunnel-${index}`, `${DIRECTORY}/tunnels/${tunnel.name}`));

/**
 * Tunnels and forwards, in the chart's images: the tools are theirs, what runs is ours. The chart's init container sets what
 * tunnel.sh can set itself (setup.sh): without it there is one container less with NET_ADMIN, and the pod starts up to a second
 * sooner, because the kubelet looks once a second whether an init container has ended.
 */
export const gatewayContainers = (gateway: PlacedGateway): Readonly<Record<string, unknown>> => ({
  terminationGracePeriodSeconds: GRACE,
  containers: [wireguard(gateway), portForward(gateway)],
});

const drainEnv = { name: "DRAIN", value: String(DRAIN) };
const forwarderEnv = ({ forwarder }: PlacedGateway): readonly { readonly name: string; readonly value: string }[] =>
  forwarder === "kernel" ? [{ name: "FORWARDER", value: "kernel" }] : [];

/**
 * The admin's context, less what the scripts can do without where it says nothing of it: every capability but those that it
 * adds, and a way to more. A context that is privileged, or adds SYS_ADMIN, cannot do without (the API server refuses it).
 */
const securityContext = ({ securityContext: admin, forwarder }: PlacedGateway): Readonly<Record<string, unknown>> => {
  if (admin["privileged"] === true || JSON.stringify(admin).includes("SYS_ADMIN")) return admin;
  const capabilities = {
    drop: ["ALL"],
    ...(admin["capabilities"] as { readonly add?: readonly string[] } | undefined),
  };
  // iptables of the older kind opens a raw socket.
  const add = [...(capabilities.add ?? []), ...(forwarder === "kernel" ? ["NET_RAW"] : [])];
  return {
    allowPrivilegeEscalation: false,
    ...admin,
    capabilities: { ...capabilities, add },
  };
};

const wireguard = (gateway: PlacedGateway): unknown => ({
  name: "wireguard",
  image: `${gateway.image.repository}:${gateway.image.tag}`,
  imagePullPolicy: gateway.image.pullPolicy,
  command: script("tunnel.sh"),
  env: [
    ...gateway.env,
    ...[drainEnv, ...forwarderEnv(gateway)].filter(({ name }) => !gateway.env.some((item) => item.name === name)),
  ],
  securityContext: securityContext(gateway),
  resources: gateway.resources,
  volumeMounts: [
    scriptsMount,
    tableMount,
    ...tunnelMounts(gateway),
    mount("run", "/run/flowgen-gateway", false),
    upMount(false),
    mount("tun", "/dev/net/tun", false),
  ],
  ...probes("tunnel"),
});

const portForward = (gateway: PlacedGateway): unknown => ({
  name: "port-forward",
  image: gateway.socat.image,
  imagePullPolicy: gateway.image.pullPolicy,
  command: script("forward.sh"),
  env: [drainEnv],
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 65534,
    runAsGroup: 65534,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  },
  resources: gateway.socat.resources,
  volumeMounts: [scriptsMount, tableMount, upMount(true), mount("tmp", "/tmp", false)],
  ...probes("forward"),
});

/** A missing Secret stops its own tunnel only, so it is optional; keys never touch a disk. */
export const gatewayVolumes = (gateway: PlacedGateway, table: string, scripts: string): readonly unknown[] => [
  { name: "scripts", configMap: { name: scripts } },
  { name: "table", configMap: { name: table, items: [{ key: "forwards", path: "forwards" }] } },
  ...gateway.tunnels.map((tunnel, index) => ({
    name: `tunnel-${index}`,
    secret: {
      secretName: tunnel.secretName,
      optional: true,
      defaultMode: 0o400,
      items: [{ key: `${tunnel.name}.conf`, path: `${tunnel.name}.conf` }],
    },
  })),
  { name: "run", emptyDir: { medium: "Memory", sizeLimit: "8Mi" } },
  { name: "up", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  { name: "tmp", emptyDir: { medium: "Memory", sizeLimit: "8Mi" } },
  { name: "tun", hostPath: { path: "/dev/net/tun", type: "CharDevice" } },
];
