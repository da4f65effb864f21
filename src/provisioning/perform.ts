import type { Cluster, KubeObject } from "../cluster/cluster.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { type Table, withAddresses } from "../core/forwards/table.ts";
import type { Scripts } from "../core/gateway/manifests.ts";
import type { Applied } from "./applier.ts";
import type { Attempted } from "./attempt.ts";
import { converge, type ConvergeEvents, wakeKubelet } from "./converge.ts";
import type { Intent, Intents } from "./intent.ts";
import { type GatewayObjects, isTableLost, linesText, writeTableObject } from "./objects.ts";

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
  readonly ours: Intent;
  readonly signal: AbortSignal;
};

/** Writes the table and the objects that are made from it. Returns the table with the addresses of the hosts' Services. */
export const perform = async (
  { cluster, scripts, events, intents }: PerformParts,
  applied: Applied,
  { table, isNew, omitted }: Attempted,
  { config, gateway, objects, ours, signal }: Performing,
): Promise<Table> => {
  if (omitted.length > 0) events.omitted?.(gateway, omitted);
  if (isTableLost(objects)) events.recovered?.(gateway, table);
  const write = (next: Table, read: KubeObject | undefined): Promise<KubeObject> =>
    intents.putInForce({ config, gateway }, read, () => writeTableObject(cluster, gateway, next, ours, read, signal));
  const written = isNew ? await write(table, objects.table) : objects.table;
  const desired = { gateway, table, scripts, podSelector: config.podSelector };
  const [addresses] = await Promise.all([
    converge(cluster, desired, objects, applied, signal, events),
    written && linesText(written) !== linesText(objects.table) && wakeKubelet(cluster, gateway, written, signal),
  ]);
  const final = withAddresses(table, addresses);
  // Before a pod learns of an address: the table has it, and a Service that is made again asks for it.
  if (final !== table) await write(final, written);
  return final;
};
