import { readTargets } from "./annotation.ts";
import { findGateway, findTunnel } from "./config/choose.ts";
import type { Config, Mode, PlacedGateway } from "./config/config.ts";
import { perObject, perText } from "./memo.ts";
import { listed } from "./message.ts";
import type { Pod } from "./pod.ts";
import { type Failure, reject, type Rejection, type SkipCode } from "./reasons.ts";
import { redirectEnv } from "./env/redirect.ts";
import { quote } from "./schema.ts";
import { readStatus, type StatusTarget } from "./status.ts";
import type { Target } from "./target.ts";
import { annotation, dnsName, gatewayId, TARGET_LABEL_PREFIX } from "./names.ts";

/** A target with the tunnel that carries it. */
export type Want = { readonly target: Target; readonly tunnel: string };

export type Planned = {
  readonly kind: "plan";
  readonly pod: Pod;
  /** The targets in the status that the pod came with. */
  readonly before: readonly StatusTarget[];
  readonly mode: Config["mode"];
  readonly gateway: PlacedGateway;
  readonly wants: readonly Want[];
  readonly warnings: readonly string[];
};

/** What one admission wants, decided from the pod and the config alone. */
export type Plan =
  | { readonly kind: "skip"; readonly reason: SkipCode; readonly warnings: readonly string[] }
  | (Rejection & { readonly mode: Config["mode"] })
  | (Failure & { readonly gateway: string })
  | Planned;

const MODES = ["enforce", "audit", "disabled"] as const satisfies readonly Mode[];

/** The stricter of the config's and the pod's mode: a pod never turns an auditing cluster into an enforcing one. */
const effectiveMode = (config: Config, wished: string | undefined): Mode | Rejection => {
  if (wished === undefined) return config.mode;
  const mode = MODES.find((word) => word === wished);
  if (mode === undefined) {
    return reject("annotation-invalid", `${annotation.mode}: ${quote(wished)} is none of ${MODES.join(", ")}`);
  }
  return MODES.indexOf(mode) > MODES.indexOf(config.mode) ? mode : config.mode;
};

const hasAll = (labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);

/** A gateway's own pods carry the labels of flowgen pods too (the chart's), so they are told apart by their component. */
const isGatewayPod = (labels: Readonly<Record<string, string>>): boolean =>
  labels["app.kubernetes.io/component"] === "wireguard-gateway";

const isMirror = (annotations: Readonly<Record<string, string>>): boolean =>
  "kubernetes.io/config.mirror" in annotations;

/** Marks that only the webhook may write: kept on a pod without targets they would open a forward that was never asked for. */
const reservedMarks = (
  annotations: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): readonly string[] => [
  ...(annotation.status in annotations ? [`metadata.annotations[${annotation.status}]`] : []),
  ...Object.keys(labels)
    .filter((key) => key.startsWith(TARGET_LABEL_PREFIX))
    .map((key) => `metadata.labels[${key}]`),
];

/** Decides what a new pod wants. `namespace` is the request's: a pod's own may be empty. */
export const planPod = (pod: Pod, namespace: string, config: Config): Plan => {
  const annotations = pod.metadata.annotations ?? {};
  const labels = pod.metadata.labels ?? {};
  const mode = effectiveMode(config, annotations[annotation.mode]);
  if (typeof mode !== "string") return { ...mode, mode: config.mode };
  const targetsText = annotations[annotation.targets];
  const isFlowgen = hasAll(labels, config.podSelector.matchLabels);
  const skipped = isMirror(annotations) ? "mirror-pod" : isGatewayPod(labels) ? "gateway-pod" : undefined;
  // A pod that is let through as it is must not bring marks of its own, least of all by asking for audit mode itself.
  const isUntouched = skipped !== undefined || mode === "disabled" || !isFlowgen || mode !== config.mode;
  if (targetsText === undefined || isUntouched) {
    const marks = reservedMarks(annotations, labels);
    if (marks.length > 0) return { ...reject("reserved", listed(marks)), mode: config.mode };
    if (skipped !== undefined) return skip(skipped);
    if (targetsText === undefined) return skip("not-annotated");
    if (mode === "disabled") return skip("disabled");
    if (!isFlowgen) return skip("not-flowgen", notFlowgen(config));
  }
  return planTargets({ pod, namespace, annotations, targets: targetsText }, config, mode);
};

const skip = (reason: SkipCode, ...warnings: readonly string[]): Plan => ({ kind: "skip", reason, warnings });

const notFlowgen = (config: Config): string => {
  const selector = Object.entries(config.podSelector.matchLabels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  return `${annotation.targets} does nothing: the pod lacks ${selector}`;
};

type Annotated = {
  readonly pod: Pod;
  readonly namespace: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly targets: string;
};

const planTargets = (
  { pod, namespace, annotations, targets }: Annotated,
  config: Config,
  mode: Config["mode"],
): Plan => {
  const wish = { namespace, targets, gateway: annotations[annotation.gateway], tunnel: annotations[annotation.tunnel] };
  const granted = grantsOf(config)(JSON.stringify(wish), () => grant(wish, config));
  if (granted.kind === "reject") return { ...granted, mode };
  const { gateway, wants } = granted;
  const srv = srvRejection(pod, gateway, wants);
  if (srv !== undefined) return { ...srv, mode };
  const status = readStatus(pod);
  if (status.kind === "fail") return { ...status, gateway: gatewayId(gateway) };
  return { kind: "plan", pod, before: status.targets, mode, gateway, wants, warnings: dnsWarnings(pod) };
};

/** What a pod's annotations ask for, and where it lives. */
type PodWish = {
  readonly namespace: string;
  readonly targets: string;
  readonly gateway: string | undefined;
  readonly tunnel: string | undefined;
};
type Grant = { readonly kind: "grant"; readonly gateway: PlacedGateway; readonly wants: readonly Want[] } | Rejection;

/** Room for some thousand different wishes. A target takes up to 1,200 bytes with its assignment, which is kept as long. */
const GRANTS_BYTES = 8 * 1024 * 1024;
const WANT_BYTES = 1200;
const grantsOf = perObject((_config: Config) =>
  perText<Grant>(GRANTS_BYTES, (granted, text) =>
    granted.kind === "grant" ? WANT_BYTES * granted.wants.length + 8 * text.length : 2 * granted.message.length,
  ),
);

/** The gateway, and a tunnel for each target, as far as the config allows them. */
const grant = ({ namespace, targets, gateway: wished, tunnel: podTunnel }: PodWish, config: Config): Grant => {
  const read = readTargets(targets);
  if (read.kind === "reject") return read;
  const found = findGateway(config, namespace, wished);
  if (found.kind === "reject") return found;
  const { gateway } = found;
  const wants: Want[] = [];
  for (const [index, target] of read.targets.entries()) {
    const tunnel = findTunnel(gateway, namespace, target, podTunnel, `${annotation.targets}[${index}]`);
    if (tunnel.kind === "reject") return tunnel;
    wants.push({ target, tunnel: tunnel.name });
  }
  return { kind: "grant", gateway, wants };
};

/** Said before anything is provisioned: a pod that cannot be redirected must not leave a forward behind. */
const srvRejection = (pod: Pod, gateway: PlacedGateway, wants: readonly Want[]): Rejection | undefined => {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  if (!containers.some(({ env }) => env?.some(({ value }) => value?.includes("+srv") ?? false) ?? false))
    return undefined;
  const host = dnsName(gateway);
  const trial = redirectEnv(
    pod,
    wants.map(({ target }) => ({ target, forward: target.name, host, port: target.port })),
  );
  return trial.kind === "reject" ? trial : undefined;
};

/** A pod on the node's network, or with another DNS policy, does not ask the cluster's DNS and cannot resolve a Service. */
const dnsWarnings = (pod: Pod): readonly string[] => {
  const { dnsPolicy: policy, hostNetwork } = pod.spec;
  const isBlind =
    policy === "Default" || policy === "None" || (hostNetwork === true && policy !== "ClusterFirstWithHostNet");
  return isBlind
    ? ["the pod does not use cluster DNS and cannot resolve the gateway: set dnsPolicy ClusterFirst[WithHostNet]"]
    : [];
};
