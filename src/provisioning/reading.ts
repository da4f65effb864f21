/** Reads a gateway's objects: the ones that are made from the table first, the table last. */
import { type Cluster, ClusterError, type KubeObject, type Ref, refOf } from "../cluster/cluster.ts";
import type { GatewayRef } from "../core/config/choose.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { policiesOf } from "../core/forwards/policies.ts";
import { scriptsName, tableName } from "../core/gateway/manifests.ts";
import { podsName, gatewayPlaceOf, siblingNames } from "../core/config/siblings.ts";
import { identitiesOf } from "../core/gateway/siblings.ts";
import { policiesFor, policyName } from "../core/gateway/policy.ts";
import { COMPONENT, GATEWAY_COMPONENT, gatewayId, GATEWAY_LABEL, MANAGED_BY, MANAGER } from "../core/names.ts";
import { type GatewayObjects, isGateways, siblingsText, tableOf } from "./objects.ts";

/** Where gateways of former configs may be. */
export type Former = {
  /** Of the config's gateways, without the one in question's. */
  readonly namespaces: readonly string[];
  /** The config has a gateway there. */
  readonly isGateway: (place: GatewayRef) => boolean;
};
const NO_FORMER: Former = { namespaces: [], isGateway: () => true };

/**
 * Reads a gateway's objects. Derived objects are read first. One that is older than the table may be written from it,
 * with the version that was read here. In the other order, an older table could overwrite the objects of a newer one.
 */
export const readGateway = async (
  cluster: Cluster,
  gateway: PlacedGateway,
  signal: AbortSignal,
  former: Former = NO_FORMER,
): Promise<GatewayObjects> => {
  const get = (kind: Ref["kind"], name: string) => cluster.get({ kind, namespace: gateway.namespace, name }, signal);
  const identities = identitiesOf(gateway).length;
  const [scripts, named, service, policies, services, pods] = await Promise.all([
    get("ConfigMap", scriptsName(gateway)),
    Promise.all(
      siblingNames(gateway.name)
        .slice(0, identities)
        .map((name) => get("Deployment", name)),
    ),
    get("Service", gateway.name),
    Promise.all(policiesFor(gateway).map((policy) => get("NetworkPolicy", policyName(gateway, policy)))),
    cluster.list("Service", gateway.namespace, { [MANAGED_BY]: MANAGER, [GATEWAY_LABEL]: gateway.name }, signal),
    identities > 1 ? get("Service", podsName(gateway)) : undefined,
  ]);
  const isHosts = ({ metadata: { name } }: KubeObject): boolean => name !== gateway.name && name !== podsName(gateway);
  const found = named.filter((object) => object !== undefined);
  const others = found.length === identities ? [] : await readOthers(cluster, gateway, former, signal);
  const isOwn = (object: KubeObject): boolean =>
    gatewayId(gatewayPlaceOf(object)) === gatewayId(gateway) && siblingNames(gateway.name).includes(refOf(object).name);
  const isNew = (object: KubeObject): boolean => found.every(({ metadata }) => metadata.uid !== object.metadata.uid);
  const derived: GatewayObjects = {
    scripts,
    deployments: [...found, ...others.filter((object) => isOwn(object) && isNew(object))],
    service,
    networkPolicies: policies.filter((object) => object !== undefined),
    // With one identity it is left of a config with more.
    podsService: pods ?? services.find(({ metadata }) => metadata.name === podsName(gateway)),
    hostServices: services.filter(isHosts),
    otherDeployments: others.filter((object) => !isOwn(object)),
    table: undefined,
  };
  return withTableNow(cluster, gateway, derived, signal);
};

/**
 * Deployments of gateways in the gateway's namespace, and in the config's other namespaces those of the webhook's that the config does not have (any
 * more). One that the webhook may not read there is not seen: it has rights where the config has gateways.
 */
const readOthers = async (
  cluster: Cluster,
  { namespace }: PlacedGateway,
  { namespaces, isGateway }: Former,
  signal: AbortSignal,
): Promise<readonly KubeObject[]> => {
  const list = (where: string, more: object = {}): Promise<readonly KubeObject[]> =>
    cluster.list("Deployment", where, { [COMPONENT]: GATEWAY_COMPONENT, ...more }, signal);
  const elsewhere = namespaces.map(async (where) => {
    try {
      return (await list(where, { [MANAGED_BY]: MANAGER })).filter((object) => !isGateway(gatewayPlaceOf(object)));
    } catch (error) {
      if (error instanceof ClusterError && error.code === 403) return [];
      throw error;
    }
  });
  return (await Promise.all([list(namespace), ...elsewhere])).flat();
};

/**
 * The objects with the table as it is now: the others are older, as they have to be. Objects that the table names
 * besides are read, and after them the table once more.
 */
export const withTableNow = async (
  cluster: Cluster,
  gateway: PlacedGateway,
  objects: GatewayObjects,
  signal: AbortSignal,
): Promise<GatewayObjects> => {
  const table = await readTableObject(cluster, gateway, signal);
  const unlisted = await readUnlisted(cluster, gateway, { ...objects, table }, signal);
  const more = (kind: string): readonly KubeObject[] => unlisted.filter((object) => object.kind === kind);
  const all = {
    ...objects,
    table,
    hostServices: [...objects.hostServices, ...more("Service")],
    networkPolicies: [...objects.networkPolicies, ...more("NetworkPolicy")],
    deployments: [...objects.deployments, ...more("Deployment")],
  };
  const isMadeMeanwhile = unlisted.some((object) => isGateways(object, gateway));
  return isMadeMeanwhile ? withTableNow(cluster, gateway, all, signal) : all;
};

/** Services, policies and Deployments that the table names and that were not read: made since then, or not the gateway's. */
const readUnlisted = async (
  cluster: Cluster,
  gateway: PlacedGateway,
  { table, hostServices, networkPolicies, deployments }: GatewayObjects,
  signal: AbortSignal,
): Promise<readonly KubeObject[]> => {
  const read = table && tableOf(table);
  if (read?.kind !== "table") return [];
  const known = new Set(
    [...hostServices, ...networkPolicies, ...deployments].map(({ kind, metadata }) => `${kind} ${metadata.name}`),
  );
  for (const policy of policiesFor(gateway)) known.add(`NetworkPolicy ${policyName(gateway, policy)}`);
  // Read before, whether or not it was there.
  for (const name of siblingNames(gateway.name).slice(0, identitiesOf(gateway).length)) known.add(`Deployment ${name}`);
  const siblings = siblingNames(gateway.name).filter((name) => siblingsText(table).split("\n").includes(name));
  const named = [
    ...siblings.map((name) => ["Deployment", name] as const),
    ...read.table.services.map(({ name }) => ["Service", name] as const),
    ...policiesOf(read.table).map((policy) => ["NetworkPolicy", policyName(gateway, policy)] as const),
  ];
  const missing = named.filter(([kind, name]) => !known.has(`${kind} ${name}`));
  const found = await Promise.all(
    missing.map(([kind, name]) => cluster.get({ kind, namespace: gateway.namespace, name }, signal)),
  );
  return found.filter((object) => object !== undefined);
};

export const readTableObject = (
  cluster: Cluster,
  gateway: PlacedGateway,
  signal: AbortSignal,
): Promise<KubeObject | undefined> =>
  cluster.get({ kind: "ConfigMap", namespace: gateway.namespace, name: tableName(gateway) }, signal);
