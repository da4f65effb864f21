/** Objects as the API server has validated them, as far as the checks read them. Any field may be absent. */
import type { KubeObject } from "../cluster/cluster.ts";

export type RegisteredWebhook = {
  readonly name: string;
  readonly clientConfig: {
    readonly url?: string;
    readonly caBundle?: string;
    readonly service?: { readonly name: string; readonly namespace: string };
  };
  readonly failurePolicy?: string;
  readonly reinvocationPolicy?: string;
  readonly rules?: readonly {
    readonly resources: readonly string[];
    readonly apiGroups?: readonly string[];
    readonly operations?: readonly string[];
  }[];
  readonly objectSelector?: { readonly matchLabels?: Labels; readonly matchExpressions?: readonly LabelRule[] };
  readonly namespaceSelector?: { readonly matchLabels?: Labels; readonly matchExpressions?: readonly LabelRule[] };
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
};
type Labels = Readonly<Record<string, string>>;
export type LabelRule = { readonly key: string; readonly operator: string; readonly values?: readonly string[] };
export const webhooksOf = (registration: KubeObject): readonly RegisteredWebhook[] =>
  (registration["webhooks"] as readonly RegisteredWebhook[] | undefined) ?? [];

type Waiting = { readonly reason?: string; readonly message?: string };
type Terminated = Waiting & { readonly exitCode?: number };
export type ContainerStatus = {
  readonly name: string;
  readonly ready: boolean;
  readonly state?: { readonly waiting?: Waiting; readonly terminated?: Terminated; readonly running?: object };
  readonly lastState?: { readonly terminated?: Terminated };
};
type Status = {
  readonly phase?: string;
  readonly readyReplicas?: number;
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  readonly nodeInfo?: { readonly kernelVersion: string };
};
export const statusIn = (object: KubeObject): Status => (object["status"] as Status | undefined) ?? {};

type ServiceSpec = { readonly ports?: readonly { readonly port: number }[] };
/** The ports that a Service offers. */
export const portsOf = (service: KubeObject): readonly number[] =>
  ((service["spec"] as ServiceSpec | undefined)?.ports ?? []).map(({ port }) => port);

type Endpoint = { readonly conditions?: { readonly ready?: boolean | null } };
/** Whether an EndpointSlice has an endpoint that takes traffic; `ready` absent means yes (discovery.k8s.io/v1). */
export const hasReady = (slice: KubeObject): boolean =>
  ((slice["endpoints"] as readonly Endpoint[] | null | undefined) ?? []).some(
    ({ conditions }) => conditions?.ready !== false,
  );

export const isSliceOf = ({ metadata }: KubeObject, service: string): boolean =>
  metadata.labels?.["kubernetes.io/service-name"] === service;

type PolicySpec = {
  readonly ingress?: readonly {
    readonly from?: readonly { readonly podSelector?: { readonly matchLabels?: Labels } }[];
    readonly ports?: readonly { readonly port: number | string }[];
  }[];
};
/** The labels of the pods that a NetworkPolicy admits to a port. */
export const admittedTo = (policy: KubeObject, port: number): readonly Labels[] =>
  ((policy["spec"] as PolicySpec | undefined)?.ingress ?? [])
    .filter(({ ports }) => ports === undefined || ports.some((each) => each.port === port))
    .flatMap(({ from }) => (from ?? [{}]).map(({ podSelector }) => podSelector?.matchLabels ?? {}));

type PodSpec = {
  readonly serviceAccountName?: string;
  readonly volumes?: readonly { readonly name: string; readonly configMap?: { readonly name?: string } }[];
  readonly containers?: readonly { readonly image?: string; readonly args?: readonly string[] }[];
};
/** The spec of a workload's pods. */
export const podSpecOf = (workload: KubeObject): PodSpec =>
  (workload["spec"] as { readonly template?: { readonly spec?: PodSpec } } | undefined)?.template?.spec ?? {};

type Selector = { readonly selector?: { readonly matchLabels?: Labels } };
/** The labels by which a controller finds its pods. */
export const podSelectorOf = (controller: KubeObject): Labels | undefined =>
  (controller["spec"] as Selector | undefined)?.selector?.matchLabels;

/** `data` of a ConfigMap or a Secret. */
export const dataOf = (object: KubeObject): Readonly<Record<string, string>> =>
  (object["data"] as Readonly<Record<string, string>> | undefined) ?? {};

type Port = { readonly name?: string; readonly containerPort: number };
/** The port of a pod that is named `metrics`. */
export const metricsPortOf = (pod: KubeObject): number | undefined =>
  (
    (pod["spec"] as { readonly containers?: readonly { readonly ports?: readonly Port[] }[] } | undefined)
      ?.containers ?? []
  )
    .flatMap(({ ports = [] }) => ports)
    .find(({ name }) => name === "metrics")?.containerPort;

/** Whether a pod's containers run, so that it answers. */
export const isRunning = (pod: KubeObject): boolean => statusIn(pod).phase === "Running";
