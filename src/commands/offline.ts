import { admit } from "../admit.ts";
import { type Cluster, type KubeObject, type Ref, refOf } from "../cluster/cluster.ts";
import { createMemoryCluster } from "../emulator/memory.ts";
import { createProvisioner } from "../provisioning/lane.ts";
import { loadScripts } from "../provisioning/scripts.ts";
import type { Admission } from "../core/admission.ts";
import type { Config } from "../core/config/config.ts";
import { version } from "../files.ts";
import type { Stream, Workload } from "../manifests/stream.ts";

export type Offline = {
  readonly results: readonly { readonly workload: Workload; readonly admission: Admission }[];
  /** The gateway's objects as they would be applied. */
  readonly manifests: readonly KubeObject[];
};

/**
 * Admits the workloads' pods one after another, as the webhook would on a cluster that holds the gateway's objects which are in
 * the stream, and nothing else. So a stream that was injected before keeps its ports.
 */
export const admitOffline = async ({ workloads, find }: Stream, config: Config): Promise<Offline> => {
  const applied = new Map<string, KubeObject>();
  const cluster = recording(preloaded(createMemoryCluster(), find), applied);
  const provision = createProvisioner(cluster, { scripts: loadScripts() });
  const { signal } = new AbortController();
  const results = [];
  for (const workload of workloads) {
    const { pod, namespace } = workload;
    const creation = { pod, namespace, dryRun: false, signal: () => signal };
    const admission = await admit(creation, { config, provision, version });
    results.push({ workload, admission });
  }
  return { results, manifests: [...applied.values()] };
};

/** An object that is asked for first comes from the stream. */
const preloaded = (cluster: Cluster, find: Stream["find"]): Cluster => ({
  ...cluster,
  get: async (ref, signal) => {
    const object = await cluster.get(ref, signal);
    const given = object === undefined ? find(ref) : undefined;
    return given === undefined ? object : await cluster.apply(asWritten(given, ref), signal);
  },
});

/** An object out of a stream may lack anything but its metadata. */
type StreamObject = Partial<KubeObject> & Pick<KubeObject, "metadata">;

/** The object as somebody would write it: what the API server adds, and versions and uids to be met, left out. */
const asWritten = (object: Readonly<Record<string, unknown>>, { kind, namespace, name }: Ref): KubeObject => {
  const { apiVersion = "v1", kind: _kind, metadata, status: _status, ...rest } = object as StreamObject;
  const { labels, annotations } = metadata;
  const optional = Object.entries({ labels, annotations }).filter(([, value]) => value !== undefined);
  return { apiVersion, kind, metadata: { name, namespace, ...Object.fromEntries(optional) }, ...rest };
};

/** Remembers what was applied last to each object. */
const recording = (cluster: Cluster, applied: Map<string, KubeObject>): Cluster => ({
  ...cluster,
  apply: async (object, signal) => {
    const result = await cluster.apply(object, signal);
    const ref = refOf(object);
    applied.set(JSON.stringify(ref), asWritten(object, ref));
    return result;
  },
});
