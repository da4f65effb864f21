/** One pass over the gateways: what no pod uses is marked, later removed, and the Services of hosts that lost their last forward are deleted. */
import { type Cluster, ClusterError, isConflict } from "../cluster/cluster.ts";
import type { Census } from "../core/census.ts";
import { isStatic } from "../core/config/choose.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { retire, type Retired, withoutServices } from "../core/forwards/retire.ts";
import { emptyTable, type Forward, type Table } from "../core/forwards/table.ts";
import type { Failure, Rejection } from "../core/reasons.ts";
import { tableIn } from "./objects.ts";
import { readGateway } from "./reading.ts";
import type { Provisioner } from "./provisioner.ts";

export type Pass = {
  readonly cluster: Cluster;
  readonly provision: Provisioner;
  readonly config: Config;
  /** Of pods that were listed from `listedAt` on, before any table is read here. */
  readonly census: Census;
  /** Milliseconds since 1970, as `now`. */
  readonly listedAt: number;
  readonly now: () => number;
  /** Nothing is written. */
  readonly isDryRun: boolean;
};

export type Reconciled = Retired & {
  readonly kind: "reconciled";
  readonly gateway: PlacedGateway;
  /** Names of hosts' Services that were deleted. */
  readonly deleted: readonly string[];
};
export type Unreconciled = (Rejection | Failure) & { readonly gateway: PlacedGateway };

const NOTHING_RETIRED: Retired = { table: emptyTable, marked: [], unmarked: [], removed: [], closed: [] };

/**
 * Reconciles one gateway of the config. It is safe beside admissions and other passes, and after any crash. The table
 * is written at the version that was read. A Service is deleted only when a table that was written before says that no
 * pod uses it. Failed I/O is a ClusterError.
 */
export const reconcileGateway = async (
  pass: Pass,
  gateway: PlacedGateway,
  signal: AbortSignal,
): Promise<Reconciled | Unreconciled> => {
  const { cluster, census, isDryRun } = pass;
  let retired: Retired = NOTHING_RETIRED;
  const change = (table: Table): Table => {
    // A pod whose status cannot be read may use any forward.
    const next =
      census.unread().length > 0
        ? { ...NOTHING_RETIRED, table }
        : retire(table, usedOf(pass, gateway, table), times(pass, gateway));
    // An attempt that is made again reads what the one before wrote: those removals are this run's too.
    const gone = retired.removed.filter(({ name }) => table.forwards.every((forward) => forward.name !== name));
    retired = { ...next, removed: [...gone, ...next.removed] };
    return next.table;
  };
  if (isDryRun) {
    const read = tableIn(await readGateway(cluster, gateway, signal), gateway);
    if (read.kind !== "table") return { ...read, gateway };
    change(read.table);
    return { kind: "reconciled", gateway, ...retired, deleted: [] };
  }
  const refusal = await changeTable(pass, gateway, change, signal);
  if (refusal !== undefined) return { ...refusal, gateway };
  const written = retired;
  const gone = await deleteClosed(cluster, gateway, written.table, signal);
  if (gone.size > 0) await changeTable(pass, gateway, (table) => withoutServices(table, gone), signal);
  return { kind: "reconciled", gateway, ...written, deleted: [...gone] };
};

const times = ({ listedAt, now }: Pass, { retain }: PlacedGateway) => ({
  listedAt,
  now: now(),
  retainMs: retain * 1000,
});

const usedOf = ({ census }: Pass, gateway: PlacedGateway, table: Table) => ({
  isUsed: (forward: Forward): boolean => isOfConfig(gateway, forward) || census.uses(gateway, table, forward),
  isNamed: (service: Table["services"][number]): boolean => census.names(gateway, service),
});

const isOfConfig = ({ tunnels }: PlacedGateway, { tunnel, targetHost: host, targetPort: port }: Forward): boolean =>
  tunnels.some((item) => item.name === tunnel && isStatic(item, { host, port }));

/** Returns why the table was not changed; `undefined`: it was, or there was nothing to change. */
const changeTable = async (
  { provision, config }: Pass,
  gateway: PlacedGateway,
  change: (table: Table) => Table,
  signal: AbortSignal,
): Promise<Rejection | Failure | undefined> => {
  const common = { config, gateway, wants: [], write: true, repair: "drift", signal: () => signal } as const;
  const result = await provision({ ...common, change });
  return result.kind === "assigned" ? undefined : result;
};

/** Deletes the objects of closed Services. Returns the names of those that are gone; one that is changed at the moment is left to the next pass. */
const deleteClosed = async (
  cluster: Cluster,
  { namespace }: PlacedGateway,
  { services }: Table,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> => {
  const gone = new Set<string>();
  for (const { name, isClosed } of services) {
    if (!isClosed) continue;
    try {
      const found = await cluster.get({ kind: "Service", namespace, name }, signal);
      if (found !== undefined) await cluster.delete(found, signal);
      gone.add(name);
    } catch (error) {
      if (!(error instanceof ClusterError && isConflict(error))) throw error;
    }
  }
  return gone;
};
