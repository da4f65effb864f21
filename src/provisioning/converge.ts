import { createHash } from "node:crypto";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { type Table, writeTable } from "../core/forwards/table.ts";
import {
  type Manifest,
  networkPolicyManifest,
  podLabels,
  type Scripts,
  scriptsManifest,
  serviceManifest,
} from "../core/gateway/manifests.ts";
import { deploymentManifest } from "../core/gateway/deployment.ts";
import { type Cluster, isConflict, type KubeObject, refOf } from "../cluster/cluster.ts";
import { eventAbout } from "../cluster/event.ts";
import { type GatewayObjects, identified, locked, readTableObject, tableText } from "./objects.ts";
import { bestEffort } from "../cluster/waiting.ts";

const TEMPLATE_ANNOTATION = "flowgen.io/template";
/** On what is made from the forward table: a hash of the table. On the pods that read it: its version. */
const TABLE_ANNOTATION = "flowgen.io/table";

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
    const mark = ({ metadata }: KubeObject): string => [metadata.uid, metadata.resourceVersion, content].join(" ");
    if (read !== undefined && applied.get(key) === mark(read)) return;
    const object = isLocked || read === undefined ? locked(manifest, read) : identified(manifest, read);
    applied.set(key, mark(await cluster.apply(object, signal)));
  };
  /**
   * For what depends on the table. Under many replicas' writes the version that was read is soon not the last; the one who
   * wrote it may have served us too: made from the table as it is now, it has all that stood in the table before.
   */
  const follow = async (read: KubeObject | undefined, manifest: Manifest): Promise<void> => {
    try {
      await bring(read, withAnnotation(manifest, TABLE_ANNOTATION, hashOf(writeTable(table)["table.json"])));
    } catch (error) {
      if (!isConflict(error)) throw error;
      const { kind, metadata } = manifest;
      const now = await cluster.get({ kind, namespace: metadata.namespace, name: metadata.name }, signal);
      const madeFrom = now?.metadata.annotations?.[TABLE_ANNOTATION];
      const last = await readTableObject(cluster, gateway, signal);
      if (madeFrom === undefined || madeFrom !== hashOf(tableText(last))) throw error;
    }
  };
  const deployment = withTemplateHash(deploymentManifest(gateway, scripts));
  if (objects.deployment !== undefined && isRestart(objects.deployment, deployment)) {
    events.restart?.(gateway, RESTART);
    const { deployment: read } = objects;
    await bestEffort(signal, (soon) => cluster.create(eventAbout(read, restartNote), soon));
  }
  const claim = objects.deployment && strategyClaim(objects.deployment, deployment);
  if (claim !== undefined) await cluster.apply(claim, signal);
  await bring(objects.scripts, scriptsManifest(gateway, scripts));
  await Promise.all([
    // Not locked: its status changes all the time, and nothing in it depends on the table.
    bring(objects.deployment, deployment, false),
    follow(objects.service, serviceManifest(gateway, table)),
    follow(objects.networkPolicy, networkPolicyManifest(gateway, table, desired.podSelector)),
  ]);
};

const withTemplateHash = (manifest: Manifest): Manifest => {
  return withAnnotation(manifest, TEMPLATE_ANNOTATION, hashOf(JSON.stringify(manifest["spec"])));
};

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

const withAnnotation = (manifest: Manifest, name: string, value: string): Manifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, annotations: { ...manifest.metadata.annotations, [name]: value } },
});

const isRestart = (read: KubeObject, next: Manifest): boolean =>
  read.metadata.annotations?.[TEMPLATE_ANNOTATION] !== next.metadata.annotations?.[TEMPLATE_ANNOTATION];

/**
 * What makes somebody's RollingUpdate ours. Recreate is refused beside the `rollingUpdate` that comes with it and is theirs; applied
 * with other values it is ours, and goes with the next apply.
 */
const strategyClaim = (read: KubeObject, manifest: Manifest): KubeObject | undefined => {
  type Strategy = { readonly rollingUpdate?: { readonly maxSurge?: unknown; readonly maxUnavailable?: unknown } };
  const { strategy: { rollingUpdate } = {} } = read["spec"] as { readonly strategy?: Strategy };
  if (rollingUpdate === undefined) return undefined;
  const other = (value: unknown): number => (value === 1 ? 2 : 1);
  const { maxSurge, maxUnavailable } = rollingUpdate;
  const claimed = { maxSurge: other(maxSurge), maxUnavailable: other(maxUnavailable) };
  const spec = { ...(manifest["spec"] as object), strategy: { type: "RollingUpdate", rollingUpdate: claimed } };
  return identified({ ...manifest, spec }, read);
};

const RESTART = "the gateway's config, images or scripts changed: its pod is replaced";
/** With Recreate a changed template is an outage of seconds for all who use the gateway: said before it happens. */
const restartNote = { type: "Normal", reason: "GatewayRestart", message: RESTART } as const;

/**
 * Touches an annotation of the gateway's pods: the kubelet then refreshes their ConfigMap volume at once, not within 60-90 s.
 * A convenience: a failure is not the admission's.
 */
export const wakeKubelet = async (
  cluster: Cluster,
  gateway: PlacedGateway,
  table: KubeObject,
  signal: AbortSignal,
): Promise<void> => {
  await bestEffort(signal, async (soon) => {
    const pods = await cluster.list("Pod", gateway.namespace, podLabels(gateway), soon);
    const annotations = { [TABLE_ANNOTATION]: String(table.metadata.resourceVersion) };
    const touch = (pod: KubeObject): Promise<unknown> => {
      const { name, namespace } = refOf(pod);
      const { uid = "" } = pod.metadata;
      return cluster.apply({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, uid, annotations } }, soon);
    };
    await Promise.all(pods.map(touch));
  });
};
