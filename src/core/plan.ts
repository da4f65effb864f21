import type { Config, Mode, PlacedGateway } from "./config/config.ts";
import { flowgenSelectors, isFlowgenPod } from "./config/flowgen-pods.ts";
import { LONGEST_ANNOTATION } from "./annotation.ts";
import { readAliased } from "./env/aliased.ts";
import type { Readings } from "./env/container.ts";
import { readPodHosts } from "./env/reading.ts";
import { grantOf } from "./grant.ts";
import { listed } from "./message.ts";
import { networkWarnings } from "./network-warnings.ts";
import type { Pod } from "./pod.ts";
import { type Failure, reject, type Rejection, type SkipCode } from "./reasons.ts";
import { quote } from "./schema.ts";
import { readStatus, type StatusTarget } from "./status.ts";
import { address, envTargets, type Target, targetsOf, type Want } from "./target.ts";
import {
  annotation,
  COMPONENT,
  dnsNames,
  GATEWAY_COMPONENT,
  gatewayId,
  hostServiceName,
  TARGET_LABEL_PREFIX,
} from "./names.ts";

export type Planned = {
  readonly kind: "plan";
  readonly pod: Pod;
  /** The targets in the status that the pod came with. */
  readonly before: readonly StatusTarget[];
  readonly mode: Config["mode"];
  readonly gateway: PlacedGateway;
  readonly wants: readonly Want[];
  /** The readings of the pod's env, for the redirect. */
  readonly readings: Readings;
  /** All that holds an address whose target is redirected by aliases only. */
  readonly unread: readonly string[];
  readonly warnings: readonly string[];
};

/** The wants of one admission, decided from the pod and the config alone. */
export type Plan =
  | { readonly kind: "skip"; readonly reason: SkipCode; readonly warnings: readonly string[] }
  | (Rejection & {
      readonly mode: Config["mode"];
      /** Those that the annotation asks for; absent: it was not read. */
      readonly targets?: readonly Target[];
    })
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

/** A gateway's own pods carry flowgen's labels too (the chart's): their component label distinguishes them. */
export const isGatewayPod = (labels: Readonly<Record<string, string>>): boolean =>
  labels[COMPONENT] === GATEWAY_COMPONENT;

const isMirror = (annotations: Readonly<Record<string, string>>): boolean =>
  "kubernetes.io/config.mirror" in annotations;

/** Marks that only the webhook may write: on a pod without targets they would open a forward that no pod asked for. */
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
  const isFlowgen = isFlowgenPod(labels, config);
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

const notFlowgen = (config: Config): string =>
  `${annotation.targets} does nothing: the pod lacks ${flowgenSelectors(config).join(" or ")}`;

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
  const { length: kept } = annotations[annotation.keepEnv] ?? "";
  if (kept > LONGEST_ANNOTATION) {
    const why = `${annotation.keepEnv}: ${kept} characters, at most ${LONGEST_ANNOTATION} are read`;
    return { ...reject("annotation-invalid", why), mode };
  }
  const granted = grantOf(wish, config);
  if (granted.kind === "reject") return { ...granted, mode };
  const { gateway, wants } = granted;
  const status = readStatus(pod);
  if (status.kind === "fail") return { ...status, gateway: gatewayId(gateway) };
  const led = withServices(pod, wants, status.targets, gateway);
  if (led.kind === "reject") return { ...led, mode, targets: targetsOf(wants) };
  const aliased = readAliased(pod, wants);
  if (aliased.kind === "reject") return { ...aliased, mode, targets: targetsOf(wants) };
  return {
    kind: "plan",
    pod,
    before: status.targets,
    mode,
    gateway,
    wants: led.wants,
    readings: led.readings,
    unread: aliased.unread,
    warnings: [...networkWarnings(pod, wants, gateway), ...aliased.warnings],
  };
};

/**
 * The wants. A host needs a Service of its own where the pod's env hold it in a form whose port is not read. So does a
 * host whose Service an earlier admission gave the pod, because its env hold that Service's name now.
 */
const withServices = (
  pod: Pod,
  wants: readonly Want[],
  before: readonly StatusTarget[],
  gateway: PlacedGateway,
): (Pick<Planned, "wants" | "readings"> & { readonly kind: "wants" }) | Rejection => {
  const hosts = readPodHosts(pod, envTargets(wants));
  if (hosts.kind === "reject") return hosts;
  const hadService = ({ target: { host, port }, tunnel }: Want): boolean => {
    const names = dnsNames({ ...gateway, name: hostServiceName(gateway.name, tunnel, host) });
    return before.some(
      (each) => each.target === address(host, port) && names.some((service) => each.address === address(service, port)),
    );
  };
  const needs = (want: Want): boolean =>
    want.redirect === "env" && (hosts.needOwnService.has(want.target.host) || (before.length > 0 && hadService(want)));
  const isSame = !wants.some((want) => needs(want) && !want.needsService);
  return {
    kind: "wants",
    readings: hosts.readings,
    wants: isSame ? wants : wants.map((want) => (needs(want) ? { ...want, needsService: true } : want)),
  };
};
