/**
 * Replicas that write one gateway's table at the same time. The one with the newest table makes the objects for all of
 * them. An apply of an object with many forwards costs the API server more than all else, and of two at once one is
 * refused.
 */
import { ClusterError, type KubeObject, type Ref } from "../cluster/cluster.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { FIRST_POLICY, policiesOf } from "../core/forwards/policies.ts";
import type { Table } from "../core/forwards/table.ts";
import { serviceManifest } from "../core/gateway/manifests.ts";
import { networkPolicyManifest } from "../core/gateway/policy.ts";
import { offers } from "./applier.ts";
import { type GatewayObjects, isGateways, tableOf, withObjects } from "./objects.ts";
import { tableNow, type Written } from "./written.ts";

/** Between two looks at the gateway's Service. */
const LOOK_MS = 50;
/** A replica whose table is not the newest waits so many looks. Then it makes the objects itself: the other may be gone. */
const MOST_LOOKS = 8;
/** The one with the newest table waits so many looks for an apply of a former table, which would refuse its own. */
const LOOKS_OF_THE_NEWEST = 3;
/** No replica looks for longer: where the API server is slow a look takes long too, and a pod has 10 s. */
const MOST_MS = 2000;

type Wrote = {
  /** As they were read before the table was written. */
  readonly objects: GatewayObjects;
  /** The table's, as it was written. */
  readonly object: KubeObject | undefined;
  readonly podSelector: Config["podSelector"];
  readonly pause: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
};

export type Beside = {
  readonly objects: GatewayObjects;
  /** The table that was read after them, where another replica has written it since. */
  readonly newer?: { readonly table: Table; readonly object: KubeObject | undefined };
};

/** The gateway's objects when it is this replica's turn to make them, or when another one has, and the table after them. */
export const besideOthers = async (written: Written, wrote: Wrote): Promise<Beside> => {
  const look = await lookOn(written, wrote);
  const { objects, isNewest } = look;
  const unread = unreadOf(written, wrote, look);
  const read = await Promise.all(unread.map(([kind, name]) => getOf(written, kind, name)));
  const found = read.filter((object) => object !== undefined);
  // A table that is the newest after all other objects were read needs no further look.
  const last = isNewest && unread.length === 0 ? look.last : await tableNow(written);
  const isOurs = [objects.service, ...found].every((object) => !object || isGateways(object, written.gateway));
  if (last === undefined || !isOurs) throw conflictOf(written.gateway);
  const isNewer = versionOf(last.object) !== versionOf(wrote.object);
  return { objects: withObjects(objects, found), ...(isNewer && { newer: last }) };
};

type Now = NonNullable<Awaited<ReturnType<typeof tableNow>>>;
/** `objects`: with the gateway's Service as it was last seen; `last`: the table after it, where that was read. */
type Look = { readonly objects: GatewayObjects; readonly isNewest: boolean; readonly last?: Now | undefined };

/** Looks at the gateway's Service until it serves this table, or until it is this replica's turn to make it. */
const lookOn = async (written: Written, { objects, object, pause, now }: Wrote): Promise<Look> => {
  const { gateway, table, signal } = written;
  const until = now() + MOST_MS;
  const before = objects.table && tableOf(objects.table);
  const former = before?.kind === "table" ? serviceManifest(gateway, before.table) : undefined;
  const own = serviceManifest(gateway, table);
  let look: Look = { objects, isNewest: true };
  for (let looks = 1; ; looks += 1) {
    const service = await getOf(written, "Service", gateway.name);
    look = { ...look, objects: { ...objects, service }, last: undefined };
    if (service === undefined || offers(service, own, table)) return { ...look, isNewest: false };
    // Once another replica has written the table, this one's is not the newest again.
    if (look.isNewest) {
      const last = await tableNow(written);
      look = { ...look, last, isNewest: versionOf(last?.object) === versionOf(object) };
      const isApplied = former === undefined || offers(service, former, table);
      if (last === undefined || (look.isNewest && (isApplied || looks >= LOOKS_OF_THE_NEWEST))) return look;
    }
    if (looks >= MOST_LOOKS || now() >= until) return look;
    await pause(LOOK_MS, signal);
  }
};

const versionOf = (object: KubeObject | undefined): string | undefined => object?.metadata.resourceVersion;

const getOf = (
  { cluster, gateway, signal }: Written,
  kind: Ref["kind"],
  name: string,
): Promise<KubeObject | undefined> => cluster.get({ kind, namespace: gateway.namespace, name }, signal);

/**
 * The other objects that this table needs, and that may have been made or changed since they were read. A policy that
 * has all of the table's rules needs no second look. Only a replica that has read a table makes the Services that it
 * adds.
 */
const unreadOf = (
  { gateway, table }: Written,
  { podSelector }: Wrote,
  { objects, isNewest }: Look,
): readonly (readonly [Ref["kind"], string])[] => {
  const policies = [...new Set([FIRST_POLICY, ...policiesOf(table)])]
    .map((policy) => networkPolicyManifest(gateway, table, podSelector, policy))
    .filter((wanted) => {
      const read = objects.networkPolicies.find(({ metadata }) => metadata.name === wanted.metadata.name);
      return read === undefined || !offers(read, wanted, table);
    });
  const before = objects.table && tableOf(objects.table);
  const known = new Set(objects.hostServices.map(({ metadata }) => metadata.name));
  const hosts = (isNewest && before?.kind === "table" ? before.table : table).services;
  return [
    ...policies.map(({ metadata }) => ["NetworkPolicy", metadata.name] as const),
    ...hosts.filter(({ name }) => !known.has(name)).map(({ name }) => ["Service", name] as const),
  ];
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
