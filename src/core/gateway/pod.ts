import type { PlacedGateway } from "../config/config.ts";
import { METRICS_PORT, READY_PORT } from "../forwards/ports.ts";
import { secretKeyOf } from "../config/identity.ts";
import { gatewayId } from "../names.ts";
import { defaultMemory, leastMemory, memoryLimit, sessionsOfOnePort } from "./capacity.ts";
import {
  volumeMount,
  copyMount,
  runMount,
  socketsMount,
  tunMounts,
  tableMount,
  upMount,
  tunnelMounts,
  SCRIPTS_MOUNT,
  SCRIPTS_COPY,
} from "./volumes.ts";

/**
 * Seconds that sessions have to end after SIGTERM where the gateway has one identity. The time is short, because the
 * successor of a deleted or evicted pod starts at once. Both pods hold the identity until the first one is done, and
 * the server answers the one that spoke last. The successor needs longer than this to speak (0.7 s at least: volumes,
 * sandbox and two containers).
 */
const DRAIN = 0.5;
/**
 * Seconds that the pod's address stays after SIGTERM. For up to 1.2 s the Service still has the pod as an endpoint. The
 * kubelet asks once a second whether the pod is ready, and kube-proxy changes its rules once a second at most. A client
 * that reaches the old pod until then is refused and can try again. An address that is gone would leave the client
 * without an answer for its whole connect timeout.
 */
const LINGER = 1.5;
/** More than the scripts take to end after the drain of a pod that has siblings. */
const GRACE = 5;

const script = (name: string, ...args: readonly string[]): readonly string[] => [
  "sh",
  `${SCRIPTS_COPY}/${name}`,
  ...args,
];
/**
 * forward.sh listens while the pod is ready. So a probe costs nothing, and one a second is possible: a pod that ends is
 * not ready at once. The Service's rules, which kube-proxy writes once a second, lack the old pod when the next one is
 * ready. One readiness probe serves the whole pod: with two that begin together, the kubelet may be a second late with
 * one.
 */
const readinessProbe = { tcpSocket: { port: READY_PORT }, timeoutSeconds: 5, periodSeconds: 1, failureThreshold: 1 };
/** Why it is not alive, probe.sh says. */
const livenessProbe = (part: "tunnel" | "forward"): Readonly<Record<string, unknown>> => ({
  exec: { command: script("probe.sh", part) },
  timeoutSeconds: 5,
  periodSeconds: 10,
  failureThreshold: 3,
  initialDelaySeconds: 10,
});

/** Tunnels and forwards, in the chart's images: the images have the tools, and the scripts are the webhook's. */
export const gatewayContainers = (gateway: PlacedGateway, name: string): Readonly<Record<string, unknown>> => ({
  terminationGracePeriodSeconds: gateway.drainSeconds + GRACE,
  initContainers: [init(gateway)],
  containers: [wireguard(gateway, name), portForward(gateway, name)],
});

/** The env of siblings.sh. */
const siblingEnv = (gateway: PlacedGateway, name: string): readonly unknown[] => [
  { name: "SELF", value: name },
  // A host name of more than 63 characters is cut.
  { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
  { name: "GATEWAY", value: gatewayId(gateway) },
  { name: "DRAIN_SECONDS", value: String(gateway.drainSeconds) },
];

/** An image's reference; the registry is what stands before the first slash and looks like a host. */
const fromRegistry = (image: string, registry: string | undefined): string =>
  registry === undefined ? image : `${registry}/${image.replace(/^([^/]*[.:][^/]*|localhost)\//, "")}`;

const wireguardImage = ({ image, imageRegistry }: PlacedGateway): Readonly<Record<string, unknown>> => {
  const digest = image.digest === undefined ? "" : `@${image.digest}`;
  return {
    image: fromRegistry(`${image.repository}:${image.tag}${digest}`, imageRegistry),
    imagePullPolicy: image.pullPolicy,
  };
};

const ownEnv = (gateway: PlacedGateway): readonly unknown[] => [
  {
    name: "TUNNELS",
    value: gateway.tunnels
      .map((tunnel) => [tunnel.name, tunnel.secretName, secretKeyOf(tunnel), tunnel.mtu].join(" ").trim())
      .join("\n"),
  },
  { name: "USERSPACE", value: String(gateway.userspace) },
  // iptables of the older kind locks a file in /run, which a read-only root does not have.
  { name: "XTABLES_LOCKFILE", value: "/run/flowgen-gateway/xtables.lock" },
  ...(gateway.forwarder === "kernel" ? [{ name: "FORWARDER", value: "kernel" }] : []),
];

const drainEnv = { name: "DRAIN", value: String(DRAIN) };

/**
 * The admin's context. Where it is silent, all rights go that the scripts do not need: every capability that it does
 * not add, and privilege escalation. A context that is privileged, or adds SYS_ADMIN, keeps them (the API server
 * refuses it otherwise).
 */
const securityContext = (
  { securityContext: admin }: PlacedGateway,
  usesIptables: boolean,
): Readonly<Record<string, unknown>> => {
  if (admin["privileged"] === true || JSON.stringify(admin).includes("SYS_ADMIN")) return admin;
  const capabilities = {
    drop: ["ALL"],
    ...(admin["capabilities"] as { readonly add?: readonly string[] } | undefined),
  };
  // iptables of the older kind opens a raw socket.
  const add = [...(capabilities.add ?? []), ...(usesIptables ? ["NET_RAW"] : [])];
  return {
    allowPrivilegeEscalation: false,
    ...admin,
    capabilities: { ...capabilities, add },
  };
};

const init = (gateway: PlacedGateway): unknown => ({
  name: "setup",
  ...wireguardImage(gateway),
  command: ["sh", `${SCRIPTS_MOUNT}/init.sh`],
  env: ownEnv(gateway),
  securityContext: securityContext(gateway, true),
  resources: gateway.resources,
  volumeMounts: [
    volumeMount("scripts", SCRIPTS_MOUNT),
    copyMount(false),
    runMount,
    socketsMount,
    ...tunMounts(gateway),
  ],
});

const wireguard = (gateway: PlacedGateway, name: string): unknown => ({
  name: "wireguard",
  ...wireguardImage(gateway),
  command: script("tunnel.sh"),
  env: [...gateway.env, drainEnv, ...siblingEnv(gateway, name), ...ownEnv(gateway)],
  securityContext: securityContext(gateway, gateway.forwarder === "kernel"),
  resources: gateway.resources,
  volumeMounts: [
    copyMount(true),
    tableMount,
    ...tunnelMounts(gateway),
    runMount,
    upMount(false),
    socketsMount,
    ...tunMounts(gateway),
  ],
  livenessProbe: livenessProbe("tunnel"),
});

/** The limit holds every forward of maxForwards, also where the flowgen chart's block brings that of its own socat. */
const portForward = (gateway: PlacedGateway, name: string): unknown => {
  const { maxForwards, socat } = gateway;
  const limit = Math.max(memoryLimit(socat.resources) ?? defaultMemory(maxForwards), leastMemory(maxForwards));
  return {
    name: "port-forward",
    image: fromRegistry(socat.image, gateway.imageRegistry),
    imagePullPolicy: gateway.image.pullPolicy,
    command: script("forward.sh"),
    env: [
      drainEnv,
      { name: "LINGER", value: String(LINGER) },
      { name: "MAX_CHILDREN", value: String(sessionsOfOnePort(limit, maxForwards)) },
      ...siblingEnv(gateway, name),
      // For its metrics. The annotation, and not a value: a change of the scripts stands in one place of the pod.
      { name: "BUILD", valueFrom: { fieldRef: { fieldPath: "metadata.annotations['flowgen.io/scripts']" } } },
    ],
    ports: [{ name: "metrics", containerPort: METRICS_PORT, protocol: "TCP" }],
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65534,
      runAsGroup: 65534,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
      ...socat.securityContext,
    },
    resources: {
      ...socat.resources,
      limits: { ...(socat.resources["limits"] as object | undefined), memory: `${limit}Mi` },
    },
    volumeMounts: [copyMount(true), tableMount, upMount(true), volumeMount("tmp", "/tmp", false)],
    readinessProbe,
    livenessProbe: livenessProbe("forward"),
  };
};
