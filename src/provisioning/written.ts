/** A table that was written or read, and what has become of it since. */
import type { Cluster, KubeObject } from "../cluster/cluster.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import type { Forward, Table } from "../core/forwards/table.ts";
import { type Intent, intentIn } from "./intent.ts";
import { tableOf } from "./objects.ts";
import { readTableObject } from "./reading.ts";

export type Written = {
  readonly cluster: Cluster;
  readonly gateway: PlacedGateway;
  /** As it was written or read. */
  readonly table: Table;
  /** The table that was read after the derived objects, where another replica has written it since: it has more in it. */
  readonly newer?: Table | undefined;
  /** The intent that is in force with it. */
  readonly ours: Intent;
  readonly signal: AbortSignal;
};

/** The table that the API server has, where that is this one with more in it, of the same config; else undefined. */
export const tableNow = async ({
  cluster,
  gateway,
  table,
  ours,
  signal,
}: Written): Promise<{ readonly table: Table; readonly object: KubeObject | undefined } | undefined> => {
  const object = await readTableObject(cluster, gateway, signal);
  const read = object && tableOf(object);
  const isSame = read?.kind === "table" && intentIn(object)?.hash === ours.hash && holdsForwards(read.table, table);
  return isSame ? { table: read.table, object } : undefined;
};

const holdsForwards = (last: Table, { forwards }: Table): boolean => {
  const key = ({ tunnel, targetHost, targetPort, listenPort, servicePort }: Forward): string =>
    [tunnel, targetHost, targetPort, listenPort, servicePort].join(" ");
  const held = new Set(last.forwards.map(key));
  return forwards.every((forward) => held.has(key(forward)));
};
