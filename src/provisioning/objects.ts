import type { PlacedGateway } from "../core/config/config.ts";
import { identityHolder } from "../core/config/identity.ts";
import { LINES_ANNOTATION, type LinedService, tableFromLines } from "../core/forwards/lines.ts";
import { readTable } from "../core/forwards/format.ts";
import { emptyTable, type Table } from "../core/forwards/table.ts";
import { selectorOf } from "../core/gateway/deployment.ts";
import { siblingsOf } from "../core/gateway/siblings.ts";
import { type Manifest, tableData, tableManifest, tableName } from "../core/gateway/manifests.ts";
import { type Failure, reject, type Rejection } from "../core/reasons.ts";
import { perObject } from "../core/memo.ts";
import { GATEWAY_LABEL, MANAGED_BY, MANAGER } from "../core/names.ts";
import { type Cluster, type KubeObject, NEVER, refOf } from "../cluster/cluster.ts";
import { type Intent, withIntent } from "./intent.ts";
import { isEqual } from "../core/equal.ts";

/** A gateway's objects as they were read: the derived ones first, the table second (see `readGateway`). */
export type GatewayObjects = {
  readonly table: KubeObject | undefined;
  readonly scripts: KubeObject | undefined;
  /** One for each identity, those too that the config no longer has. */
  readonly deployments: readonly KubeObject[];
  readonly service: KubeObject | undefined;
  /** By which the pods of several identities find each other. */
  readonly podsService: KubeObject | undefined;
  /** Services of hosts' own. */
  readonly hostServices: readonly KubeObject[];
  readonly networkPolicies: readonly KubeObject[];
  /** Deployments of others that may hold the gateway's identities; read where the gateway lacks one of its own. */
  readonly otherDeployments: readonly KubeObject[];
};

export type IpFamily = "IPv4" | "IPv6";

/** The IP families in which the cluster gives a gateway's Services their addresses; IPv4 before there is one. */
export const familiesOf = ({ service }: Pick<GatewayObjects, "service">): readonly IpFamily[] => {
  const given = service === undefined ? [] : clusterIPsOf(service);
  return given.length === 0 ? ["IPv4"] : given.map((ip) => (ip.includes(":") ? "IPv6" : "IPv4"));
};

/** Cluster IPs by the name of a host's Service. */
export type Addresses = ReadonlyMap<string, readonly string[]>;

/** The addresses that the API server gave to a Service, one for each IP family. */
export const clusterIPsOf = (service: KubeObject): readonly string[] => {
  const { clusterIPs = [] } = service["spec"] as { readonly clusterIPs?: readonly string[] };
  return clusterIPs;
};

export const isManaged = ({ metadata }: KubeObject): boolean => metadata.labels?.[MANAGED_BY] === MANAGER;
export const isGateways = (object: KubeObject, gateway: PlacedGateway): boolean =>
  isManaged(object) && object.metadata.labels?.[GATEWAY_LABEL] === gateway.name;

type TableKey = "table.json" | "forwards";
const textOf = (object: KubeObject | undefined, key: TableKey): string =>
  String({ ...(object?.["data"] as Partial<Record<TableKey, string>> | undefined) }[key]);

/** The table as its object holds it; "undefined" where it holds none. */
export const tableText = (object: KubeObject | undefined): string => textOf(object, "table.json");
/** The lines for the gateway's scripts in the table's object. */
export const linesText = (object: KubeObject | undefined): string => textOf(object, "forwards");

/** The table that its object holds, read once. */
export const tableOf = perObject((object: KubeObject) =>
  readTable(tableText(object), `${kindAndName(object)} table.json`),
);

/** The gateway's Services have addresses of running pods, and the table is gone. */
export const isTableLost = ({ table, service, hostServices }: GatewayObjects): boolean =>
  table === undefined && (service !== undefined || hostServices.length > 0);

const lined = (service: KubeObject): LinedService => ({
  name: service.metadata.name ?? "",
  lines: service.metadata.annotations?.[LINES_ANNOTATION],
  clusterIPs: clusterIPsOf(service),
});

/**
 * The table in the objects that were read, or made again of the lines that its Services carry. A rejection where the
 * objects are not the gateway's, or the table cannot be read.
 */
export const tableIn = (
  objects: GatewayObjects,
  gateway: PlacedGateway,
): { readonly kind: "table"; readonly table: Table } | Rejection | Failure => {
  const { table, scripts, deployments, service, networkPolicies, hostServices, otherDeployments } = objects;
  const { podsService } = objects;
  const foreign =
    [table, scripts, ...deployments, service, podsService, ...networkPolicies].find(
      (each) => each !== undefined && !isManaged(each),
    ) ?? hostServices.find((object) => !isGateways(object, gateway));
  if (foreign !== undefined) return reject("object-unmanaged", kindAndName(foreign));
  const other = deployments.find((deployment) => !selectsOurs(deployment, gateway));
  if (other !== undefined) return reject("selector-other", kindAndName(other));
  const held = identityHolder(gateway, otherDeployments);
  if (held !== undefined)
    return reject("identity-held", `Deployment ${held.holder} mounts the Secret ${held.secretName}`);
  if (isTableLost(objects))
    return tableFromLines(
      service && lined(service),
      hostServices.map(lined),
      `ConfigMap ${gateway.namespace}/${tableName(gateway)}`,
    );
  if (objects.table === undefined) return { kind: "table", table: emptyTable };
  return tableOf(objects.table);
};

/** False: a Deployment of another tool with a selector of its own, which cannot be changed. */
export const selectsOurs = (deployment: KubeObject, gateway: PlacedGateway): boolean => {
  const { selector } = deployment["spec"] as { readonly selector?: unknown };
  return isEqual(selector, { matchLabels: selectorOf(gateway, deployment.metadata.name ?? "") });
};

/** The names of the gateway's Deployments: those that the config has, and those that have yet to go. */
export const deploymentNames = (
  { deployments }: Pick<GatewayObjects, "deployments">,
  gateway: PlacedGateway,
): readonly string[] => [
  ...new Set([...siblingsOf(gateway, deployments), ...deployments.map(refOf)].map(({ name }) => name)),
];

/** The names of the Deployments in the table's object; none where the gateway has the one of its own name alone. */
export const siblingsText = (object: KubeObject | undefined): string =>
  (object?.["data"] as { readonly siblings?: string } | undefined)?.siblings ?? "";

/** Whether the table's object says what the table is, for the scripts too. */
export const holds = (objects: GatewayObjects, gateway: PlacedGateway, table: Table): boolean => {
  const data = objects.table?.["data"] as Readonly<Record<string, string>> | undefined;
  const wanted = tableData(gateway, table, deploymentNames(objects, gateway));
  return (
    Object.entries(wanted).every(([key, text]) => data?.[key] === text) &&
    siblingsText(objects.table) === (wanted.siblings ?? "")
  );
};

/** `Kind namespace/name`, as a message names an object. */
export const kindAndName = ({ kind, metadata }: Pick<KubeObject, "kind" | "metadata">): string =>
  `${kind} ${metadata.namespace}/${metadata.name ?? ""}`;

/** The object that was read and no other: without its uid, an apply to one that was deleted meanwhile would make it anew. */
export const identified = (manifest: Manifest, { metadata: { uid } }: KubeObject): KubeObject => ({
  ...manifest,
  metadata: { ...manifest.metadata, ...(uid !== undefined && { uid }) },
});

/** The objects with newer readings of hosts' Services and of policies. */
export const withObjects = (objects: GatewayObjects, newer: readonly KubeObject[]): GatewayObjects => {
  const names = new Set(newer.map(kindAndName));
  const renewed = (former: readonly KubeObject[], kind: string): readonly KubeObject[] => [
    ...former.filter((object) => !names.has(kindAndName(object))),
    ...newer.filter((object) => object.kind === kind),
  ];
  return {
    ...objects,
    hostServices: renewed(objects.hostServices, "Service"),
    networkPolicies: renewed(objects.networkPolicies, "NetworkPolicy"),
  };
};

/** Applied when it is the version that was read, made only when there was none. */
export const locked = (manifest: Manifest, read: KubeObject | undefined): KubeObject => {
  const object = read === undefined ? manifest : identified(manifest, read);
  return { ...object, metadata: { ...object.metadata, resourceVersion: read?.metadata.resourceVersion ?? NEVER } };
};

/** Writes the table, and the intent that is in force, if it is still the version that was read; 409 otherwise. */
export const writeTableObject = (
  cluster: Cluster,
  gateway: PlacedGateway,
  { table, deployments }: { readonly table: Table; readonly deployments: readonly string[] },
  intent: Intent,
  read: KubeObject | undefined,
  signal: AbortSignal,
): Promise<KubeObject> =>
  cluster.apply(locked(withIntent(tableManifest(gateway, table, deployments), intent, read), read), signal);
