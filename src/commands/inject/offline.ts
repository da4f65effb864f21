import { admit } from "../../admit.ts";
import { type Cluster, isConflict, type KubeObject, type Metadata, refOf } from "../../cluster/cluster.ts";
import { createMemoryCluster } from "../../emulator/memory.ts";
import { withoutIntent } from "../../provisioning/intent.ts";
import { createProvisioner } from "../../provisioning/provisioner.ts";
import { loadScripts } from "../../provisioning/scripts.ts";
import { type Admission, refused } from "../../core/admission.ts";
import { listed } from "../../core/message.ts";
import { reject } from "../../core/reasons.ts";
import type { Config } from "../../core/config/config.ts";
import { version } from "../../files.ts";
import type { Workload } from "../../manifests/stream.ts";

/** How long the live cluster may take for one workload. */
const LIVE_MS = 30_000;

/** `audit`: what the webhook would do. `inject`: the manifests are applied as they are printed. */
export type Purpose = "audit" | "inject";

/** All that is asked of a live cluster. */
type LiveCluster = Pick<Cluster, "get" | "list">;

/** Admits a workload's pods as the webhook would, and knows the gateways' objects that were applied for it. */
export type Admitter = {
  readonly admit: (workload: Pick<Workload, "pod" | "namespace">) => Promise<Admission>;
  /** As they would be applied. */
  readonly manifests: () => readonly KubeObject[];
};

/**
 * Forwards come from the table of the live cluster, or from an empty one where none is given. Nothing is written to the
 * live cluster: each workload sees what the ones before it would have written. With `inject` a workload is refused
 * where its hostAliases would hold a stand-in for an address.
 */
export const createAdmitter = (config: Config, live: LiveCluster | undefined, purpose: Purpose): Admitter => {
  const applied = new Map<string, KubeObject>();
  const provision = createProvisioner(recording(inMemory(live), applied), { scripts: loadScripts() });
  // Each workload has its own: what is remembered by a context serves the next pod like it, and here none comes.
  const context = () => ({ config, provision, version });
  return {
    admit: async ({ pod, namespace }) => {
      const creation = { pod, namespace, dryRun: false, signal: () => AbortSignal.timeout(LIVE_MS) };
      const admission = await admit(creation, context());
      return purpose === "inject" ? withoutStandIns(admission) : admission;
    },
    manifests: () => [...applied.values()],
  };
};

/** The admission, or its refusal where hostAliases hold an address that only stands for the one to come. */
const withoutStandIns = (admission: Admission): Admission => {
  const assumed = admission.assignments.flatMap(({ isAssumed, names }) => (isAssumed === true ? names : []));
  const isPrinted = admission.outcome === "inject" || admission.outcome === "skip";
  return isPrinted && assumed.length > 0
    ? refused(reject("address-unknown", listed(assumed)), "enforce", { gateway: admission.gateway })
    : admission;
};

/**
 * A cluster in memory that takes an object from the live one when it is first asked for. It is created, not applied:
 * what the API server added (a Service's clusterIP) must not go with the next apply.
 */
const inMemory = (live: LiveCluster | undefined): Cluster => {
  const memory = createMemoryCluster({ hasAddresses: false });
  /** Of two calls at the same time that read one object, the first puts it there. */
  const take = async (object: KubeObject, signal: AbortSignal): Promise<KubeObject | undefined> => {
    try {
      return await memory.create(copyOf(object), signal);
    } catch (error) {
      if (isConflict(error)) return memory.get(refOf(object), signal);
      throw error;
    }
  };
  return {
    ...memory,
    list: async (kind, namespace, selector, signal) => {
      const services = kind === "Service" ? await live?.list(kind, namespace, selector, signal) : undefined;
      for (const object of services ?? [])
        if ((await memory.get(refOf(object), signal)) === undefined) await take(object, signal);
      return memory.list(kind, namespace, selector, signal);
    },
    get: async (ref, signal) => {
      const object = await memory.get(ref, signal);
      const read = object === undefined ? await live?.get(ref, signal) : undefined;
      return read === undefined ? object : take(read, signal);
    },
  };
};

/** The config of the live cluster does not count: the command shows the answers of its own config. */
const copyOf = (object: KubeObject): KubeObject => {
  const { metadata, ...rest } = asWritten(object);
  const { annotations } = metadata;
  return { ...rest, metadata: { ...metadata, ...(annotations && { annotations: withoutIntent(annotations) }) } };
};

/** The object as it is applied: without what the API server adds, versions and uids to be met among it. */
export const asWritten = ({ apiVersion, kind, metadata, status: _status, ...rest }: KubeObject): KubeObject => {
  const { name, namespace, labels, annotations } = metadata;
  const written = { name, namespace, ...(labels && { labels }), ...(annotations && { annotations }) };
  return { apiVersion, kind, metadata: written as Metadata, ...rest };
};

/** Remembers what was applied last to each object; a note of another field manager is no manifest. */
const recording = (cluster: Cluster, applied: Map<string, KubeObject>): Cluster => ({
  ...cluster,
  apply: async (object, signal, manager) => {
    const result = await cluster.apply(object, signal, manager);
    if (manager === undefined) applied.set(JSON.stringify(refOf(object)), asWritten(object));
    return result;
  },
});
