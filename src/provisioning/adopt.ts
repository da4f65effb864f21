/** A gateway is taken over: the steps of adoption.ts, each safe to stop after, and to make again. */
import { type Cluster, deadlineExceeded, isConflict, type KubeObject, refOf } from "../cluster/cluster.ts";
import { isReady } from "../cluster/ready.ts";
import { sleepUnless } from "../cluster/waiting.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { withStaticForwards } from "../core/forwards/allocate.ts";
import { emptyTable } from "../core/forwards/table.ts";
import { metadata, podLabels, tableManifest } from "../core/gateway/manifests.ts";
import { COMPONENT, GATEWAY_COMPONENT } from "../core/names.ts";
import { type Adoption, type AdoptionStep, planAdoption } from "./adoption.ts";
import type { Provisioned } from "./attempt.ts";
import { locked } from "./objects.ts";
import { readGateway } from "./reading.ts";
import type { Provisioner } from "./provisioner.ts";

export type Adopting = {
  readonly cluster: Cluster;
  readonly provision: Provisioner;
  readonly config: Config;
  readonly gateway: PlacedGateway;
  readonly pause?: typeof sleepUnless;
};

/** Reads the gateway and plans. Failed I/O is a ClusterError. */
export const readAdoption = async ({ cluster, gateway }: Adopting, signal: AbortSignal): Promise<Adoption> => {
  const objects = await readGateway(cluster, gateway, signal);
  const all = await cluster.list("Deployment", gateway.namespace, { [COMPONENT]: GATEWAY_COMPONENT }, signal);
  return planAdoption({ ...objects, otherDeployments: all }, gateway);
};

/** Makes one step of a plan. Failed I/O is a ClusterError. */
export const adoptStep = async (adopting: Adopting, step: AdoptionStep, signal: AbortSignal): Promise<void> => {
  const { cluster, gateway } = adopting;
  switch (step.kind) {
    case "table": {
      // Without one, the Service would be that of a gateway that has lost its table.
      const { table } = withStaticForwards(emptyTable, gateway);
      await cluster.apply(locked(tableManifest(gateway, table), undefined), signal);
      return;
    }
    case "take":
      await cluster.update(marked(gateway, step.object), signal);
      return;
    case "replace":
      await endPods(adopting, step.deployment, signal);
      await cluster.delete(anyVersion(step.deployment), signal);
  }
};

/** The gateway as table and config want it. */
export const bringAdopted = ({ provision, config, gateway }: Adopting, signal: AbortSignal): Promise<Provisioned> =>
  provision({ config, gateway, wants: [], write: true, change: (table) => table, signal: () => signal });

const marked = (gateway: PlacedGateway, object: KubeObject): KubeObject => {
  const { labels } = metadata(gateway, refOf(object).name);
  return { ...object, metadata: { ...object.metadata, labels: { ...object.metadata.labels, ...labels } } };
};

const anyVersion = (object: KubeObject): KubeObject => {
  const { resourceVersion: _version, ...rest } = object.metadata;
  return { ...object, metadata: rest };
};

const LOOK_MS = 100;
/** The chart's forwarding container does not hear SIGTERM. The kubelet may keep to the 30 s of before all the same. */
const GRACE_SECONDS = 1;

type Spec = {
  readonly replicas?: number;
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
};
const specOf = (deployment: KubeObject): Spec => deployment["spec"] as Spec;

/** No pod of the Deployment is left that does not end: one identity is held by one pod, and nothing makes another. */
const endPods = async ({ cluster, gateway, pause = sleepUnless }: Adopting, read: KubeObject, signal: AbortSignal) => {
  await scaledToZero(cluster, read, signal);
  const { matchLabels } = specOf(read).selector;
  const podsOfIt = () => cluster.list("Pod", gateway.namespace, matchLabels, signal);
  const isEnding = ({ metadata: { deletionTimestamp } }: KubeObject): boolean => deletionTimestamp !== undefined;
  let pods = await podsOfIt();
  for (; !pods.every(isEnding); pods = await podsOfIt()) {
    if (signal.aborted) throw deadlineExceeded("list", { kind: "Pod", namespace: gateway.namespace, name: "" }, signal);
    await pause(LOOK_MS, signal).catch(() => undefined);
  }
  await Promise.all(pods.map((pod) => cluster.delete(anyVersion(pod), signal, GRACE_SECONDS)));
};

/** Its controller writes its status meanwhile. */
const scaledToZero = async (cluster: Cluster, read: KubeObject, signal: AbortSignal): Promise<void> => {
  for (let last: KubeObject | undefined = read; last !== undefined && specOf(last).replicas !== 0;) {
    try {
      await cluster.update({ ...last, spec: { ...specOf(last), replicas: 0 } }, signal);
      return;
    } catch (error) {
      if (!isConflict(error)) throw error;
      last = await cluster.get(refOf(read), signal);
    }
  }
};

/** Whether the gateway's pod is ready. */
export const isServing = async ({ cluster, gateway }: Adopting, signal: AbortSignal): Promise<boolean> => {
  const pods = await cluster.list("Pod", gateway.namespace, podLabels(gateway), signal);
  return pods.some(isReady);
};
