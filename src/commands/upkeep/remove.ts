import {
  type Cluster,
  ClusterError,
  isConflict,
  type KubeObject,
  type Metadata,
  refOf,
} from "../../cluster/cluster.ts";
import { placedGateways, type GatewayRef } from "../../core/config/choose.ts";
import { gatewayNameOf, siblingNames } from "../../core/config/siblings.ts";
import { listed } from "../../core/message.ts";
import { policyNames } from "../../core/gateway/policy.ts";
import { dnsName, gatewayId, GATEWAY_LABEL, MANAGED_BY, MANAGER } from "../../core/names.ts";
import { isManaged, kindAndName } from "../../provisioning/objects.ts";
import { readStatus } from "../../core/status.ts";
import { type ClusterName, connectCluster, readConfigFile, UsageError } from "../options/options.ts";
import type { Output } from "../options/output.ts";

export type RemoveOptions = {
  readonly config: string;
  /** No webhook runs any more, so that no config knows the gateway. */
  readonly uninstalled: boolean;
  readonly cluster: ClusterName;
  /** Although live pods use it. */
  readonly force: boolean;
  readonly dryRun: boolean;
};

/** For all pages of all pods, and for the deletions. */
const LISTING_MS = 300_000;
const DELETING_MS = 60_000;

/**
 * `remove NAMESPACE/NAME`: deletes the objects of a gateway that the config does not know. The forward table goes last,
 * so that a run that was cut short can be repeated. Prints first the live pods that use the gateway, and stops there
 * without `force`. Secrets stay.
 *
 * Returns the exit code: 1 when the gateway was not removed. Throws a UsageError (exit code 2) when the name, the
 * config or the cluster cannot be used, or the config knows the gateway.
 */
export const remove = async (gateway: string, options: RemoveOptions, output: Output): Promise<0 | 1> => {
  const ref = gatewayRefOf(gateway);
  if (!options.uninstalled) {
    const config = await readConfigFile(options.config);
    if (placedGateways(config, [ref]).some((known) => gatewayId(known) === gateway))
      throw new UsageError(
        `${gateway} is a gateway of ${options.config}, and the webhook would make it again: take it out of the config, or set enabled: false, first`,
      );
  }
  const cluster = await connectCluster(options.cluster);
  try {
    return await removeGateway(ref, options, cluster, output);
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    await output.err(`${error.message}\n`);
    return 1;
  }
};

/** Throws a UsageError for what is not `namespace/name`. */
export const gatewayRefOf = (gateway: string): GatewayRef => {
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9-]+)$/.exec(gateway) ?? [];
  if (namespace === undefined || name === undefined)
    throw new UsageError(`${JSON.stringify(gateway)} is no gateway: write it as namespace/name`);
  return { namespace, name };
};

/** As `remove`, on a cluster that is connected. */
export const removeGateway = async (
  ref: GatewayRef,
  { force, dryRun }: Pick<RemoveOptions, "force" | "dryRun">,
  cluster: Cluster,
  { out, err }: Output,
): Promise<0 | 1> => {
  const objects = await objectsOf(cluster, ref, AbortSignal.timeout(DELETING_MS));
  if (objects.length === 0) {
    await err(`there is no gateway ${ref.namespace}/${ref.name} of flowgen-gateway-webhook\n`);
    return 1;
  }
  const users = await usersOf(cluster, ref, objects);
  const held = `${users.length} live pods use ${ref.namespace}/${ref.name}: ${listed(users)}`;
  if (users.length > 0) await out(`${held}\n`);
  if (users.length > 0 && !force && !dryRun) {
    await err("nothing was removed: restart or delete these pods without the gateway first, or add --force\n");
    return 1;
  }
  const signal = AbortSignal.timeout(DELETING_MS);
  for (const object of objects) {
    if (!dryRun && !(await deleteManaged(cluster, object, signal))) continue;
    await out(`${dryRun ? "would delete" : "deleted"} ${kindAndName(object)}\n`);
  }
  await err(
    "the Secrets of its tunnels stay: delete them, and the peers at the VPN servers, if nothing else uses them\n",
  );
  return 0;
};

/** Deletes an object, unless it is another's by now. Where a controller wrote its status meanwhile, its next version is deleted. */
const deleteManaged = async (cluster: Cluster, object: KubeObject, signal: AbortSignal): Promise<boolean> => {
  try {
    await cluster.delete(object, signal);
    return true;
  } catch (error) {
    if (!isConflict(error)) throw error;
    const next = await cluster.get(refOf(object), signal);
    return next === undefined || (isManaged(next) && deleteManaged(cluster, next, signal));
  }
};

/** The gateway's objects that are the webhook's, in the order in which they go: who uses the table before the table. */
const objectsOf = async (
  cluster: Cluster,
  { namespace, name }: GatewayRef,
  signal: AbortSignal,
): Promise<readonly KubeObject[]> => {
  const get = (kind: KubeObject["kind"], of = name) => cluster.get({ kind, namespace, name: of }, signal);
  const ofGateway = { [MANAGED_BY]: MANAGER, [GATEWAY_LABEL]: name };
  const found = [
    ...(await Promise.all(siblingNames(name).map((of) => get("Deployment", of)))).filter(isOfGateway(name)),
    ...(await cluster.list("Service", namespace, ofGateway, signal)),
    ...(await Promise.all(policyNames({ name }).map((policy) => get("NetworkPolicy", policy)))),
    await get("PodDisruptionBudget"),
    await get("ConfigMap", `${name}-scripts`),
    await get("ConfigMap", `${name}-forwards`),
  ];
  return found.filter((object) => object !== undefined && isManaged(object)) as readonly KubeObject[];
};

const isOfGateway =
  (name: string) =>
  (deployment: KubeObject | undefined): boolean =>
    deployment !== undefined && gatewayNameOf(deployment) === name;

/** Live pods with an address of one of the gateway's Services in their status, as `namespace/name`. */
const usersOf = async (
  cluster: Cluster,
  { namespace }: GatewayRef,
  objects: readonly KubeObject[],
): Promise<readonly string[]> => {
  const hosts = new Set(
    objects.filter(({ kind }) => kind === "Service").map(({ metadata: { name = "" } }) => dnsName({ name, namespace })),
  );
  const uses = ({ labels = {}, annotations = {} }: Metadata): boolean => {
    const status = readStatus({ metadata: { labels, annotations } });
    // A newer status is not read: it may name the gateway.
    return status.kind === "fail" || status.targets.some(({ address }) => hosts.has(address.replace(/:\d+$/, "")));
  };
  const users: string[] = [];
  for await (const pod of cluster.livePods(GATEWAY_LABEL, AbortSignal.timeout(LISTING_MS)))
    if (uses(pod)) users.push(`${pod.namespace}/${pod.name ?? ""}`);
  return users;
};
