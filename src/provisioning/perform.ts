import { type Cluster, isConflict, type KubeObject } from "../cluster/cluster.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { type HostService, type Table, withAddresses } from "../core/forwards/table.ts";
import type { Scripts } from "../core/gateway/manifests.ts";
import type { Applied } from "./applier.ts";
import type { Attempted } from "./attempt.ts";
import { converge, type Converged, type ConvergeEvents, wakeKubelet } from "./converge.ts";
import type { Intent, Intents } from "./intent.ts";
import {
  type Addresses,
  deploymentNames,
  type GatewayObjects,
  isTableLost,
  linesText,
  siblingsText,
  writeTableObject,
} from "./objects.ts";
import { besideOthers } from "./rivals.ts";
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
  /** This process looks at the gateways again, without an admission. */
  readonly keeps: boolean;
  readonly events: PerformEvents;
  readonly pause: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
};

type Performing = {
  readonly config: Config;
  readonly gateway: PlacedGateway;
  /** As they were read. */
  readonly objects: GatewayObjects;
  /** Other replicas write too. */
  readonly isBeside: boolean;
  readonly ours: Intent;
  /** Whether a pod that waits will hold the address of a host's Service; the others hold its name. */
  readonly isHeld: (service: HostService) => boolean;
  readonly signal: AbortSignal;
};

/** Under many replicas' writes the version that was read is soon not the last. */
const MOST_TRIES = 10;

/** The tables with the addresses of the hosts' Services, and the policies that were refused. */
export type Performed = Omit<Converged, "addresses"> & {
  /** With all addresses. */
  readonly table: Table;
  /** With the addresses that the API server's table has: pods may hold these. */
  readonly recorded: Table;
};

/** Writes the table and the objects that are made from it. */
export const perform = async (
  { cluster, scripts, events, intents, keeps, pause, now }: PerformParts,
  applied: Applied,
  { table, isNew, omitted }: Attempted,
  { config, gateway, objects, isBeside, ours, isHeld, signal }: Performing,
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
  const last = isBeside
    ? await besideOthers(written, { objects, object, podSelector: config.podSelector, pause, now })
    : { objects, newer: undefined };
  const [{ addresses, ...converged }] = await Promise.all([
    converge(
      { ...written, newer: last.newer?.table },
      { scripts, podSelector: config.podSelector, keeps },
      last.objects,
      applied,
      events,
    ),
    object && linesOf(object) !== linesOf(objects.table) && wakeKubelet(cluster, gateway, object, signal),
  ]);
  const final = withAddresses(table, addresses);
  // Before a pod learns of an address: the table has it, and a Service that is made again asks for it. The next write of
  // the table records the others.
  const isDue = final.services.some((service, at) => service !== table.services[at] && isHeld(service));
  const { newer } = last;
  const isOlder = newer === undefined || !isFree(newer.table, addresses);
  if (isDue) await record(written, isOlder ? { table, object } : newer, addresses, write);
  return { ...converged, table: final, recorded: isDue ? final : table };
};

/** Writes addresses into the table that the API server has, which may have more in it than this one (`read`) by now. */
const record = async (
  written: Written,
  read: { readonly table: Table; readonly object: KubeObject | undefined },
  addresses: Addresses,
  write: (next: Table, read: KubeObject | undefined) => Promise<KubeObject>,
): Promise<void> => {
  let last = read;
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
