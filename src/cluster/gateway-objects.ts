import { createHash } from "node:crypto";
import type { Config, PlacedGateway } from "../core/config.ts";
import { emptyTable, readTable, type Table } from "../core/forwards.ts";
import {
  deploymentManifest,
  type Manifest,
  networkPolicyManifest,
  podLabels,
  scriptsManifest,
  type Scripts,
  scriptsName,
  serviceManifest,
  tableManifest,
  tableName,
} from "../core/manifests.ts";
import { reject, type Rejection } from "../core/reasons.ts";
import { MANAGED_BY, MANAGER } from "../core/words.ts";
import { type Cluster, type KubeObject, NEVER, type Ref } from "./cluster.ts";

const TEMPLATE_ANNOTATION = "flowgen.io/template";
const TABLE_ANNOTATION = "flowgen.io/table";

/** A gateway's objects as they were read: the derived ones first, the table second (see `readGateway`). */
export type GatewayObjects = {
  readonly table: KubeObject | undefined;
  readonly scripts: KubeObject | undefined;
  readonly deployment: KubeObject | undefined;
  readonly service: KubeObject | undefined;
  readonly networkPolicy: KubeObject | undefined;
};

/**
 * Reads a gateway's objects. The order matters: a derived object that is older than the table may be written from it, with
 * the version that was read here; the other way round an older table could overwrite what a newer one produced.
 */
export const readGateway = async (
  cluster: Cluster,
  gateway: PlacedGateway,
  signal: AbortSignal,
): Promise<GatewayObjects> => {
  const get = (kind: Ref["kind"], name: string) => cluster.get({ kind, namespace: gateway.namespace, name }, signal);
  const [scripts, deployment, service, networkPolicy] = await Promise.all([
    get("ConfigMap", scriptsName(gateway)),
    get("Deployment", gateway.name),
    get("Service", gateway.name),
    get("NetworkPolicy", gateway.name),
  ]);
  return { scripts, deployment, service, networkPolicy, table: await get("ConfigMap", tableName(gateway)) };
};

/** The table in what was read; a rejection when an object is somebody else's or the table cannot be read. */
export const tableOf = (objects: GatewayObjects): { readonly kind: "table"; readonly table: Table } | Rejection => {
  const foreign = Object.values(objects).find(
    (object) => object !== undefined && object.metadata.labels?.[MANAGED_BY] !== MANAGER,
  );
  if (foreign !== undefined) return reject("not-ours", nameOf(foreign));
  if (objects.table === undefined) return { kind: "table", table: emptyTable };
  const data = objects.table["data"] as Readonly<Record<string, string>> | undefined;
  return readTable(data?.["table.json"] ?? "", `${nameOf(objects.table)} table.json`);
};

const nameOf = ({ kind, metadata }: KubeObject): string => `${kind} ${metadata.namespace}/${metadata.name ?? ""}`;

/** Applied when it is the version that was read, made only when there was none. */
const locked = (manifest: Manifest, read: KubeObject | undefined): KubeObject => ({
  ...manifest,
  metadata: { ...manifest.metadata, resourceVersion: read?.metadata.resourceVersion ?? NEVER },
});

/** Writes the table if it is still the version that was read; 409 otherwise. */
export const writeTableObject = (
  cluster: Cluster,
  gateway: PlacedGateway,
  table: Table,
  objects: GatewayObjects,
  signal: AbortSignal,
): Promise<KubeObject> => cluster.apply(locked(tableManifest(gateway, table), objects.table), signal);

/**
 * What this process applied last, by object: the version that it got and what was in it. An object that still has that
 * version needs no second apply, and one that anybody touched gets one, which repairs drift. Losing it costs an apply that
 * changes nothing.
 */
export type Applied = Map<string, string>;

export type ConvergeEvents = { readonly restart?: (gateway: PlacedGateway, why: string) => void };

/** Brings the derived objects to the table by server-side apply. The scripts come first: the pod cannot start without them. */
export const converge = async (
  cluster: Cluster,
  desired: {
    readonly gateway: PlacedGateway;
    readonly table: Table;
    readonly scripts: Scripts;
    readonly podSelector: Config["podSelector"];
  },
  objects: GatewayObjects,
  applied: Applied,
  signal: AbortSignal,
  events: ConvergeEvents = {},
): Promise<void> => {
  const { gateway, table, scripts } = desired;
  const bring = async (read: KubeObject | undefined, manifest: Manifest, isLocked = true): Promise<void> => {
    const key = `${manifest.kind} ${manifest.metadata.namespace}/${manifest.metadata.name}`;
    const content = JSON.stringify(manifest);
    const mark = (object: KubeObject): string =>
      `${object.metadata.uid ?? ""} ${object.metadata.resourceVersion ?? ""} ${content}`;
    if (read !== undefined && applied.get(key) === mark(read)) return;
    applied.set(
      key,
      mark(await cluster.apply(isLocked || read === undefined ? locked(manifest, read) : manifest, signal)),
    );
  };
  const deployment = withTemplateHash(deploymentManifest(gateway, scripts));
  if (isRestart(objects.deployment, deployment))
    await announceRestart(cluster, gateway, objects.deployment, signal, events);
  await bring(objects.scripts, scriptsManifest(gateway, scripts));
  await Promise.all([
    // Not locked: its status changes all the time, and nothing in it depends on the table.
    bring(objects.deployment, deployment, false),
    bring(objects.service, serviceManifest(gateway, table)),
    bring(objects.networkPolicy, networkPolicyManifest(gateway, table, desired.podSelector)),
  ]);
};

const withTemplateHash = (manifest: Manifest): Manifest => {
  const hash = createHash("sha256").update(JSON.stringify(manifest["spec"])).digest("hex").slice(0, 16);
  return { ...manifest, metadata: { ...manifest.metadata, annotations: { [TEMPLATE_ANNOTATION]: hash } } };
};

const isRestart = (read: KubeObject | undefined, next: Manifest): boolean =>
  read !== undefined &&
  read.metadata.annotations?.[TEMPLATE_ANNOTATION] !== next.metadata.annotations?.[TEMPLATE_ANNOTATION];

/** With Recreate a changed template is an outage of seconds for all who use the gateway: said before it happens. */
const announceRestart = async (
  cluster: Cluster,
  gateway: PlacedGateway,
  deployment: KubeObject | undefined,
  signal: AbortSignal,
  events: ConvergeEvents,
): Promise<void> => {
  const why = "the gateway's config, images or scripts changed: its pod is replaced";
  events.restart?.(gateway, why);
  const { name, namespace } = gateway;
  await bestEffort(
    cluster.create(
      {
        apiVersion: "v1",
        kind: "Event",
        metadata: { generateName: `${name}-`, namespace },
        involvedObject: {
          apiVersion: "apps/v1",
          kind: "Deployment",
          name,
          namespace,
          uid: deployment?.metadata.uid ?? "",
        },
        type: "Normal",
        reason: "GatewayRestart",
        message: why,
        reportingComponent: MANAGER,
        source: { component: MANAGER },
      },
      signal,
    ),
  );
};

/**
 * Touches an annotation of the gateway's pods: the kubelet then refreshes their ConfigMap volume at once, not within 60-90 s.
 * A convenience: a failure is not the admission's.
 */
export const wakeKubelet = async (
  cluster: Cluster,
  gateway: PlacedGateway,
  tableVersion: string,
  signal: AbortSignal,
): Promise<void> => {
  const touch = async (): Promise<void> => {
    const pods = await cluster.list("Pod", gateway.namespace, podLabels(gateway), signal);
    await Promise.all(
      pods.map(({ metadata: { name = "", namespace, uid = "" } }) =>
        cluster.apply(
          {
            apiVersion: "v1",
            kind: "Pod",
            metadata: { name, namespace, uid, annotations: { [TABLE_ANNOTATION]: tableVersion } },
          },
          signal,
        ),
      ),
    );
  };
  await bestEffort(touch());
};

const bestEffort = async (work: Promise<unknown>): Promise<void> => {
  await work.catch(() => undefined);
};
