/**
 * Replicas that write one gateway's table at the same time. The one with the newest table makes the objects for all of
 * them. An apply of an object with many forwards costs the API server more than all else, and of two at once one is
 * refused.
 */
import { ClusterError, type KubeObject, type Ref } from "../cluster/cluster.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { FIRST_POLICY, policiesOf } from "../core/forwards/policies.ts";
import type { Table } from "../core/forwards/table.ts";
import { serviceManifest } from "../core/gateway/manifests.ts";
import { policyName } from "../core/gateway/policy.ts";
import { offers } from "./applier.ts";
import { type GatewayObjects, isGateways, tableOf } from "./objects.ts";
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
  const { gateway, table, signal } = written;
  const { objects, object, pause, now } = wrote;
  const until = now() + MOST_MS;
  const before = objects.table && tableOf(objects.table);
  for (let looks = 1; looks < MOST_LOOKS && now() < until; looks += 1) {
    const service = await getOf(written, "Service", gateway.name);
    if (service === undefined || offers(service, serviceManifest(gateway, table), table)) break;
    const last = await tableNow(written);
    if (last === undefined) break;
    const isNewest = last.object?.metadata.resourceVersion === object?.metadata.resourceVersion;
    const isApplied = before?.kind !== "table" || offers(service, serviceManifest(gateway, before.table), table);
    if (isNewest && (isApplied || looks >= LOOKS_OF_THE_NEWEST)) break;
    await pause(LOOK_MS, signal);
  }
  return refreshed(written, objects, object);
};

const getOf = (
  { cluster, gateway, signal }: Written,
  kind: Ref["kind"],
  name: string,
): Promise<KubeObject | undefined> => cluster.get({ kind, namespace: gateway.namespace, name }, signal);

/** The objects that every write of the table changes, as they are now, and the table after them. */
const refreshed = async (
  written: Written,
  objects: GatewayObjects,
  object: KubeObject | undefined,
): Promise<Beside> => {
  const { gateway, table } = written;
  const names = new Set([FIRST_POLICY, ...policiesOf(table)].map((policy) => policyName(gateway, policy)));
  const known = new Set(objects.hostServices.map(({ metadata }) => metadata.name));
  const unknown = table.services.filter(({ name }) => !known.has(name));
  const [service, policies, hosts] = await Promise.all([
    getOf(written, "Service", gateway.name),
    Promise.all([...names].map((name) => getOf(written, "NetworkPolicy", name))),
    Promise.all(unknown.map(({ name }) => getOf(written, "Service", name))),
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
    ...(isNewer && { newer: now }),
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
