import type { Config, PlacedGateway } from "../core/config/config.ts";
import { forwardsOf, type HostService, type Table } from "../core/forwards/table.ts";
import {
  hostServiceManifest,
  type Manifest,
  podLabels,
  type Scripts,
  scriptsManifest,
  serviceManifest,
} from "../core/gateway/manifests.ts";
import { isPublished, isStarting } from "../core/gateway/start.ts";
import { type Cluster, isInvalid, type KubeObject, refOf } from "../cluster/cluster.ts";
import { eventAbout, type EventText } from "../cluster/event.ts";
import { type Applied, type ApplierEvents, applierOf } from "./applier.ts";
import { type Addresses, clusterIPsOf, type GatewayObjects, withObjects } from "./objects.ts";
import { serveCompany } from "./company.ts";
import { type RollingEvents, serveDeployments } from "./rolling.ts";
import { type RefusedPolicy, servePolicies } from "./policies.ts";
import type { Written } from "./written.ts";
import { listed } from "../core/message.ts";
import { GATEWAY_LABEL, TARGET_LABEL_PREFIX } from "../core/names.ts";
import { bestEffort } from "../cluster/waiting.ts";

/** On the gateway's pods: the version of the table. A change makes the kubelet refresh their volumes. */
export const TABLE_ANNOTATION = "flowgen.io/table";

export type ConvergeEvents = ApplierEvents &
  RollingEvents & {
    /** Whether a further look is needed: until the gateway's first pod is ready, and its Services are set back. */
    readonly starting?: (gateway: PlacedGateway, isStarting: boolean) => void;
    /**
     * A Service that was deleted could not have its cluster IPs again: another Service has one of them. `holders`: label selectors of the
     * pods that may hold them.
     */
    readonly addressLost?: (gateway: PlacedGateway, service: HostService, holders: readonly string[]) => void;
  };

export type Converging = {
  readonly scripts: Scripts;
  readonly podSelector: Config["podSelector"];
  /** Further looks at the gateway follow, without an admission. */
  readonly keeps: boolean;
};

export type Converged = {
  /** The cluster IPs that the hosts' Services have. */
  readonly addresses: Addresses;
  /** With the hosts' Services as they were made. */
  readonly objects: GatewayObjects;
  readonly refused: readonly RefusedPolicy[];
};

/** Brings the derived objects to the table by server-side apply. The scripts come first: the pod cannot start without them. */
export const converge = async (
  written: Written,
  { scripts, podSelector, keeps }: Converging,
  objects: GatewayObjects,
  applied: Applied,
  events: ConvergeEvents = {},
): Promise<Converged> => {
  const { cluster, gateway, table, signal } = written;
  const applier = applierOf({ ...written, applied, events });
  const { bring, share, follow } = applier;
  const starts = keeps && isStarting(gateway, objects.service, objects.deployments);
  const wasStarting = [objects.service, ...objects.hostServices].some((read) => read && isPublished(read));
  events.starting?.(gateway, starts || (keeps && wasStarting));
  /** A Service that another process has set back meanwhile stays as it is. */
  const publishes = (last: KubeObject | undefined): boolean => starts && (last === undefined || isPublished(last));
  /** A Service that is made again asks for the addresses that pods hold. Without them it still serves new pods. */
  const serveHost = async (service: HostService): Promise<KubeObject> => {
    const { name, clusterIPs } = service;
    const found = objects.hostServices.find(({ metadata }) => metadata.name === name);
    // Made by a replica whose table had no address yet: no pod has these, pods have those of the table.
    const isMadeOtherwise = found !== undefined && clusterIPs.length > 0 && clusterIPsOf(found)[0] !== clusterIPs[0];
    if (isMadeOtherwise) await cluster.delete(found, signal);
    const read = isMadeOtherwise ? undefined : found;
    const render = (from: Table, last: KubeObject | undefined): Manifest =>
      hostServiceManifest(gateway, from, service, publishes(last));
    const addresses = clusterIPs.length > 0 ? { clusterIP: clusterIPs[0], clusterIPs } : undefined;
    const made = await follow(read, render, addresses).catch(async (error: unknown) => {
      if (addresses === undefined || read !== undefined || !isInvalid(error)) throw error;
      const other = await follow(read, render);
      // The address may be held by the Service itself, which another replica made a moment ago.
      if (clusterIPsOf(other)[0] !== clusterIPs[0]) {
        const holders = holdersOf(gateway, table, service);
        events.addressLost?.(gateway, service, holders);
        await bestEffort(signal, (soon) => cluster.create(eventAbout(other, lostNote(service, holders)), soon));
      }
      return other;
    });
    return made;
  };
  await share(objects.scripts, scriptsManifest(gateway, scripts));
  const [hosts, , , refused] = await Promise.all([
    // The API server takes no Service without ports: one whose host has no forward any more stays as it is.
    Promise.all(table.services.filter((service) => forwardsOf(table, service).length > 0).map(serveHost)),
    serveDeployments({ ...written, applied, events, objects, scripts, applier }),
    follow(objects.service, (from, last) => serviceManifest(gateway, from, publishes(last))),
    servePolicies({ follow, gateway, table, podSelector, read: objects.networkPolicies }),
    serveCompany({ cluster, gateway, objects, bring, signal }),
  ]);
  const addresses = new Map(hosts.map((made) => [refOf(made).name, clusterIPsOf(made)]));
  return { addresses, objects: withObjects(objects, hosts), refused };
};

/**
 * Label selectors of the pods that got the address of a host's Service, in any namespace: the webhook itself may not
 * list them.
 */
const holdersOf = (gateway: PlacedGateway, table: Table, service: HostService): readonly string[] =>
  forwardsOf(table, service).map(({ name }) => `${GATEWAY_LABEL}=${gateway.name},${TARGET_LABEL_PREFIX}${name}=true`);

const lostNote = ({ host, clusterIPs }: HostService, holders: readonly string[]): EventText => ({
  type: "Warning",
  reason: "AddressLost",
  message:
    `another Service has ${clusterIPs.join(", ")}: pods whose hostAliases map ${host} there must be restarted: ` +
    listed(holders.map((selector) => `kubectl get pods -A -l ${selector}`)),
});

/**
 * Touches an annotation of the gateway's pods: the kubelet then refreshes their ConfigMap volume at once, not within 60-90 s.
 * A convenience: a failure is not the admission's.
 */
export const wakeKubelet = async (
  cluster: Cluster,
  gateway: PlacedGateway,
  table: KubeObject,
  signal: AbortSignal,
): Promise<void> => {
  await bestEffort(signal, async (soon) => {
    const pods = await cluster.list("Pod", gateway.namespace, podLabels(gateway), soon);
    const annotations = { [TABLE_ANNOTATION]: String(table.metadata.resourceVersion) };
    const touch = (pod: KubeObject): Promise<unknown> => {
      const { name, namespace } = refOf(pod);
      const { uid = "" } = pod.metadata;
      return cluster.apply({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, uid, annotations } }, soon);
    };
    // A pod that is gone by now must not keep the others waiting for their own turn.
    await Promise.allSettled(pods.map(touch));
  });
};
