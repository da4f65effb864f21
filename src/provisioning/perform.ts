import { type Cluster, ClusterError, isConflict, type KubeObject, type Ref } from "../cluster/cluster.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { FIRST_POLICY, policiesOf } from "../core/forwards/policies.ts";
import { type Table, withAddresses } from "../core/forwards/table.ts";
import { policyName } from "../core/gateway/policy.ts";
import type { Scripts } from "../core/gateway/manifests.ts";
import type { Applied } from "./applier.ts";
import type { Attempted } from "./attempt.ts";
import { converge, type Converged, type ConvergeEvents, wakeKubelet } from "./converge.ts";
import type { Intent, Intents } from "./intent.ts";
import {
  type Addresses,
  deploymentNames,
  type GatewayObjects,
  isGateways,
  isTableLost,
  linesText,
  siblingsText,
  writeTableObject,
} from "./objects.ts";
import { tableNow, type Written } from "./written.ts";

export type PerformEvents = ConvergeEvents & {
  /** The table was gone and was made again of what the Services carry. */
  readonly recovered?: (gateway: PlacedGateway, table: Table) => void;
  readonly omitted?: (gateway: PlacedGateway, forwards: readonly string[]) => void;
};

export type PerformParts = {
  readonly cluster: Cluster;
  readonly scripts: Scripts;
  readonly intents: Intents;
  readonly events: PerformEvents;
};

type Performing = {
  readonly config: Config;
  readonly gateway: PlacedGateway;
  /** As they were read. */
  readonly objects: GatewayObjects;
  /** Another replica has written since: what is made from the table is read again. */
  readonly isStale: boolean;
  readonly ours: Intent;
  readonly signal: AbortSignal;
};

/** Under many replicas' writes the version that was read is soon not the last. */
const MOST_TRIES = 10;

/** The table with the addresses of the hosts' Services, and the policies that were refused. */
export type Performed = Omit<Converged, "addresses"> & {
  readonly table: Table;
  /** Of the table's object. */
  readonly version?: string | undefined;
};

/** Writes the table and the objects that are made from it. */
export const perform = async (
  { cluster, scripts, events, intents }: PerformParts,
  applied: Applied,
  { table, isNew, omitted }: Attempted,
  { config, gateway, objects, isStale, ours, signal }: Performing,
): Promise<Performed> => {
  if (omitted.length > 0) events.omitted?.(gateway, omitted);
  if (isTableLost(objects)) events.recovered?.(gateway, table);
  const write = (next: Table, read: KubeObject | undefined): Promise<KubeObject> =>
    intents.putInForce({ config, gateway }, read, () =>
      writeTableObject(cluster, gateway, { table: next, deployments }, ours, read, signal),
    );
  const deployments = deploymentNames(objects, gateway);
  const linesOf = (table: KubeObject | undefined): string => linesText(table) + siblingsText(table);
  const object = isNew ? await write(table, objects.table) : objects.table;
  const written: Written = { cluster, gateway, table, ours, signal };
  const last = isStale ? await refreshed(written, objects, object) : { objects };
  const [{ addresses, ...converged }] = await Promise.all([
    converge(
      { ...written, newer: last.newer },
      { scripts, podSelector: config.podSelector },
      last.objects,
      applied,
      events,
    ),
    object && linesOf(object) !== linesOf(objects.table) && wakeKubelet(cluster, gateway, object, signal),
  ]);
  const final = withAddresses(table, addresses);
  // Before a pod learns of an address: the table has it, and a Service that is made again asks for it.
  if (final !== table) await record(written, object, addresses, write);
  return { ...converged, table: final, version: object?.metadata.resourceVersion };
};

/**
 * The objects that every write of the table changes, as they are now, and the table after them. An apply to a version
 * from before another replica's write would be refused, and costs the API server as much as one that is taken.
 */
const refreshed = async (
  written: Written,
  objects: GatewayObjects,
  object: KubeObject | undefined,
): Promise<{ readonly objects: GatewayObjects; readonly newer?: Table }> => {
  const { cluster, gateway, table, signal } = written;
  const get = (kind: Ref["kind"], name: string): Promise<KubeObject | undefined> =>
    cluster.get({ kind, namespace: gateway.namespace, name }, signal);
  const names = new Set([FIRST_POLICY, ...policiesOf(table)].map((policy) => policyName(gateway, policy)));
  const known = new Set(objects.hostServices.map(({ metadata }) => metadata.name));
  const unknown = table.services.filter(({ name }) => !known.has(name));
  const [service, policies, hosts] = await Promise.all([
    get("Service", gateway.name),
    Promise.all([...names].map((name) => get("NetworkPolicy", name))),
    Promise.all(unknown.map(({ name }) => get("Service", name))),
  ]);
  const now = await tableNow(written);
  const found = policies.filter((policy) => policy !== undefined);
  const more = hosts.filter((host) => host !== undefined);
  if (now === undefined || ![service, ...found, ...more].every((each) => !each || isGateways(each, gateway)))
    throw conflictOf(gateway);
  const others = objects.networkPolicies.filter(({ metadata }) => !names.has(metadata.name ?? ""));
  const isNewer = now.object?.metadata.resourceVersion !== object?.metadata.resourceVersion;
  return {
    objects: {
      ...objects,
      service,
      hostServices: [...objects.hostServices, ...more],
      networkPolicies: [...found, ...others],
    },
    ...(isNewer && { newer: now.table }),
  };
};

/** All of the gateway is to be read again. */
const conflictOf = ({ namespace, name }: PlacedGateway): ClusterError =>
  new ClusterError({
    verb: "apply",
    ref: { kind: "Service", namespace, name },
    code: 409,
    reason: "Conflict",
    says: "another process changed the gateway",
  });

/** Writes addresses into the table that the API server has, which may have more in it by now. */
const record = async (
  written: Written,
  object: KubeObject | undefined,
  addresses: Addresses,
  write: (next: Table, read: KubeObject | undefined) => Promise<KubeObject>,
): Promise<void> => {
  let last = { table: written.table, object };
  for (let tries = 1; ; tries += 1) {
    const next = withAddresses(last.table, addresses);
    if (next === last.table) return;
    try {
      await write(next, last.object);
      return;
    } catch (error) {
      const now = isConflict(error) && tries < MOST_TRIES ? await tableNow(written) : undefined;
      if (now === undefined || !isFree(now.table, addresses)) throw error;
      last = now;
    }
  }
};

/** No Service has another address in the table: that would be one that was made again meanwhile. */
const isFree = ({ services }: Table, addresses: Addresses): boolean =>
  services.every(({ name, clusterIPs }) => {
    const found = addresses.get(name);
    return found === undefined || clusterIPs.length === 0 || clusterIPs.join() === found.join();
  });
