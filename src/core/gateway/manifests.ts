import { reachingNamespaces } from "../config/choose.ts";
import type { PlacedGateway, Tunnel } from "../config/config.ts";
import { writeTable } from "../forwards/format.ts";
import { READY_PORT } from "../forwards/ports.ts";
import { type Forward, forwardsOf, type HostService, type Table } from "../forwards/table.ts";
import { gatewayLines, hostLines, LINES_ANNOTATION } from "../forwards/lines.ts";
import { perObject } from "../memo.ts";
import { hasSiblings } from "./siblings.ts";
import { PUBLISHED } from "./start.ts";
import { annotation, COMPONENT, GATEWAY_COMPONENT, GATEWAY_LABEL, INSTANCE, MANAGED_BY, MANAGER } from "../names.ts";

/** A Kubernetes object as it is applied: only the fields that the webhook owns. */
export type Manifest = {
  readonly apiVersion: string;
  readonly kind: "ConfigMap" | "Deployment" | "NetworkPolicy" | "PodDisruptionBudget" | "Service";
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
};

/** The files of src/gateway by name, and a hash over them: another hash restarts the gateway's pod, and nothing else does. */
export type Scripts = { readonly files: Readonly<Record<string, string>>; readonly hash: string };

/**
 * The labels that the gateway's Deployment and its Service select. They never change, since a selector is immutable.
 */
export const podLabels = (gateway: PlacedGateway): Readonly<Record<string, string>> => ({
  "app.kubernetes.io/name": "flowgen",
  [INSTANCE]: gateway.name,
  [COMPONENT]: GATEWAY_COMPONENT,
});

export const tableName = (gateway: PlacedGateway): string => `${gateway.name}-forwards`;
export const scriptsName = (gateway: PlacedGateway): string => `${gateway.name}-scripts`;

/** Of each of a gateway's objects. */
export const metadata = (gateway: PlacedGateway, name: string): Manifest["metadata"] => ({
  name,
  namespace: gateway.namespace,
  labels: { ...podLabels(gateway), [MANAGED_BY]: MANAGER, [GATEWAY_LABEL]: gateway.name },
  annotations: { ...KEPT, ...gateway.annotations },
});

/**
 * Argo CD prunes what carries an Application's tracking label, and that is the gateway's `app.kubernetes.io/instance`. Helm deletes what a release
 * had and has no longer: a gateway that was taken over from the flowgen chart.
 */
const KEPT = {
  "argocd.argoproj.io/sync-options": "Prune=false",
  "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
  "helm.sh/resource-policy": "keep",
};

/** The ConfigMap that holds the forward table. */
export const tableManifest = (gateway: PlacedGateway, table: Table, deployments?: readonly string[]): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: metadata(gateway, tableName(gateway)),
  data: tableData(gateway, table, deployments),
});

/** The tunnel of a forward, where the config has it. */
export const tunnelOf = (gateway: PlacedGateway, { tunnel }: Forward): Tunnel | undefined =>
  gateway.tunnels.find(({ name }) => name === tunnel);

/** The target of a forward. */
export const forwardTarget = ({
  targetHost: host,
  targetPort: port,
}: Forward): { readonly host: string; readonly port: number } => ({
  host,
  port,
});

/** The namespaces whose pods the config lets use a forward today; undefined: all. */
export const namespacesOf = (gateway: PlacedGateway, forward: Forward): readonly string[] | undefined =>
  granted(gateway)(forward).namespaces;

/** Asked by the table's lines and by the policy. */
const granted = perObject((gateway: PlacedGateway) =>
  perObject((forward: Forward) => ({ namespaces: grantedNamespaces(gateway, forward) })),
);

const grantedNamespaces = (gateway: PlacedGateway, forward: Forward): readonly string[] | undefined => {
  const tunnel = tunnelOf(gateway, forward);
  if (tunnel === undefined) return [];
  const { isPerNamespace, namespace } = gateway;
  const reaching = reachingNamespaces(
    tunnel,
    forwardTarget(forward),
    isPerNamespace ? [namespace] : (forward.namespaces ?? []),
  );
  if (!isPerNamespace) return reaching;
  return reaching === undefined || reaching.includes(namespace) ? [namespace] : [];
};

/**
 * The content of the table's ConfigMap. The scripts get only the forwards that the config grants today. They also get
 * the names of the gateway's Deployments, where there are others than the one of its name.
 */
export const tableData = (
  gateway: PlacedGateway,
  table: Table,
  deployments: readonly string[] = [gateway.name],
): ReturnType<typeof writeTable> & { readonly siblings?: string } => ({
  ...writeTable(table, (forward) => namespacesOf(gateway, forward)?.length !== 0),
  ...(deployments.some((name) => name !== gateway.name) && {
    siblings: deployments.map((name) => `${name}\n`).join(""),
  }),
});

/** The ConfigMap with the scripts that run in the gateway's pod. */
export const scriptsManifest = (gateway: PlacedGateway, scripts: Scripts): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: metadata(gateway, scriptsName(gateway)),
  data: scripts.files,
});

/** Meshes read a protocol from a port's name, or from its first bytes, where nothing says it: a server that speaks first then hangs. */
const TCP = { protocol: "TCP", appProtocol: "tcp" };
const serviceMetadata = (
  gateway: PlacedGateway,
  name: string,
  ports: readonly { readonly port: number | undefined }[],
  lines: string,
): Manifest["metadata"] => {
  const plain = metadata(gateway, name);
  const opaque = { "config.linkerd.io/opaque-ports": ports.map(({ port }) => port).join(",") };
  const annotations = { ...plain.annotations, ...opaque, ...gateway.serviceAnnotations, [LINES_ANNOTATION]: lines };
  return { ...plain, annotations };
};

/** The API server refuses a Service without ports: the one on which the pod says that it is ready. */
const READY = { name: "ready", port: READY_PORT, targetPort: READY_PORT, ...TCP };

/**
 * The gateway's own Service: one port for each forward that it offers. Where the gateway has several pods, there is one
 * more, by which they ask for each other.
 */
export const serviceManifest = (gateway: PlacedGateway, table: Table, isPublished = false): Manifest => {
  const ports = table.forwards
    .filter(({ servicePort }) => servicePort !== undefined)
    .map(({ name, servicePort: port, listenPort: targetPort }) => ({ name, port, targetPort, ...TCP }));
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: serviceMetadata(gateway, gateway.name, ports, gatewayLines(table)),
    spec: serviceSpec(gateway, isAsked(gateway, ports) ? [...ports, READY] : ports, isPublished),
  };
};

const serviceSpec = (gateway: PlacedGateway, ports: readonly object[], isPublished: boolean): object => ({
  type: "ClusterIP",
  ipFamilyPolicy: "PreferDualStack",
  ...(isPublished && PUBLISHED),
  selector: podLabels(gateway),
  ports,
});

/** A table of before may have a forward there. */
const isAsked = (gateway: PlacedGateway, ports: readonly { readonly port: number | undefined }[]): boolean =>
  ports.length === 0 || (hasSiblings(gateway) && ports.every(({ port }) => port !== READY_PORT));

/** On a host's own Service: its tunnel and its host. */
const HOST_ANNOTATION = "flowgen.io/target-host";

/** The Service of one host: the target's own port for each of the host's forwards. */
export const hostServiceManifest = (
  gateway: PlacedGateway,
  table: Table,
  service: HostService,
  isPublished = false,
): Manifest => {
  const { name, tunnel, host } = service;
  const ports = forwardsOf(table, service).map((item) => ({
    name: item.name,
    port: item.targetPort,
    targetPort: item.listenPort,
    ...TCP,
  }));
  const common = serviceMetadata(gateway, name, ports, hostLines(forwardsOf(table, service), service));
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      ...common,
      annotations: { ...common.annotations, [annotation.tunnel]: tunnel, [HOST_ANNOTATION]: host },
    },
    spec: serviceSpec(gateway, ports, isPublished),
  };
};
