/**
 * Forwards that no pod uses are removed in two steps. The first step marks them (`unusedSince`). A replica answers by a
 * table that it read at most CACHE_MS ago. An admission that finds a mark removes the mark by a write. The second step,
 * long after the mark, removes forwards that still have it.
 *
 * So a pod that is given a forward is never missed. Either its admission removes the mark, which the second step sees
 * at the table's `resourceVersion`. Or the pod was stored before the second step listed the pods, and the listing then
 * names its forward.
 */
import { type Forward, forwardsOf, type HostService, type RetiredForward, type Table, targetKey } from "./table.ts";

/** How old a cached table may be. */
export const CACHE_MS = 30_000;
/**
 * The least time from a mark to the removal. The write of the mark may take a minute. A cached table is used for
 * CACHE_MS. A pod is stored at most 30 s after its answer (the longest `timeoutSeconds` of a webhook). Clocks differ.
 */
export const SETTLE_MS = 60_000 + CACHE_MS + 30_000 + 60_000;

export type Used = {
  /** A live pod uses the forward, or the config names it. */
  readonly isUsed: (forward: Forward) => boolean;
  /** A live pod's status names the host's Service. */
  readonly isNamed: (service: HostService) => boolean;
};

export type Times = {
  /** When the listing of the pods began; milliseconds since 1970, as `now`. */
  readonly listedAt: number;
  readonly now: number;
  /** How long a forward that nothing uses is kept, in milliseconds. */
  readonly retainMs: number;
};

export type Retired = {
  /** The same table object where nothing changes. */
  readonly table: Table;
  readonly marked: readonly Forward[];
  /** Used again: the mark is gone. */
  readonly unmarked: readonly Forward[];
  readonly removed: readonly Forward[];
  /** From now on no admission uses these Services, so that their objects can be deleted. */
  readonly closed: readonly HostService[];
};

/** The table with its unused forwards marked, and without those whose mark is old enough. */
export const retire = (table: Table, { isUsed, isNamed }: Used, { listedAt, now, retainMs }: Times): Retired => {
  const oldest = listedAt - Math.max(retainMs, SETTLE_MS);
  const marked: Forward[] = [];
  const unmarked: Forward[] = [];
  const removed: Forward[] = [];
  const forwards = table.forwards.flatMap((forward) => {
    const { unusedSince, ...plain } = forward;
    if (isUsed(forward)) {
      if (unusedSince === undefined) return [forward];
      unmarked.push(forward);
      return [plain];
    }
    const since = Date.parse(unusedSince ?? "");
    if (since <= oldest) {
      removed.push(forward);
      return [];
    }
    // A mark that is no time, or one of the future, is made anew: it would never end.
    if (since <= now) return [forward];
    marked.push(forward);
    return [{ ...plain, unusedSince: new Date(now).toISOString() }];
  });
  const closed: HostService[] = [];
  const services = table.services.map((service) => {
    if (service.isClosed === true || forwardsOf({ forwards }, service).length > 0 || isNamed(service)) return service;
    closed.push(service);
    return { ...service, isClosed: true as const };
  });
  const isSame = [marked, unmarked, removed, closed].every(({ length }) => length === 0);
  const isLess = removed.length > 0 || closed.length > 0;
  const removals = isLess ? { removals: (table.removals ?? 0) + 1 } : {};
  const next = { ...table, forwards, services, ...withRetired(table, removed), ...removals };
  return { table: isSame ? table : next, marked, unmarked, removed, closed };
};

/** Ports of removed forwards that a table remembers, of its 900 KB some 50. */
const MOST_RETIRED = 500;

const keyOf = (item: RetiredForward): string => targetKey(item.tunnel, item.targetHost, item.targetPort);

const withRetired = ({ retired = [] }: Table, removed: readonly Forward[]): Pick<Table, "retired"> => {
  const now = removed.map(({ tunnel, targetHost, targetPort, listenPort, servicePort }) => ({
    ...{ tunnel, targetHost, targetPort, listenPort },
    ...(servicePort !== undefined && { servicePort }),
  }));
  const again = new Set(now.map(keyOf));
  const all = [...now, ...retired.filter((item) => !again.has(keyOf(item)))].slice(0, MOST_RETIRED);
  return all.length === 0 ? {} : { retired: all };
};

/** The table without the Services whose objects are gone. */
export const withoutServices = (table: Table, gone: ReadonlySet<string>): Table => {
  const services = table.services.filter(({ isClosed, name }) => isClosed !== true || !gone.has(name));
  return services.length === table.services.length ? table : { ...table, services };
};
