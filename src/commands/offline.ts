import { admit } from "../admit.ts";
import type { Cluster, KubeObject } from "../cluster/cluster.ts";
import { createMemoryCluster } from "../cluster/memory.ts";
import { createProvisioner } from "../cluster/provision.ts";
import { loadScripts } from "../cluster/scripts.ts";
import type { Admission } from "../core/admission.ts";
import type { Config } from "../core/config.ts";
import { version } from "./options.ts";
import type { Workload } from "./stream.ts";

export type Offline = {
  readonly results: readonly { readonly workload: Workload; readonly admission: Admission }[];
  /** The gateway's objects as they would be applied, in the order in which they can be. */
  readonly manifests: readonly KubeObject[];
};

/** Admits the workloads' pods one after another, as the webhook would on an empty cluster. */
export const admitOffline = async (workloads: readonly Workload[], config: Config): Promise<Offline> => {
  const applied = new Map<string, KubeObject>();
  const provision = createProvisioner(recording(createMemoryCluster(), applied), { scripts: loadScripts() });
  const { signal } = new AbortController();
  const results = [];
  for (const workload of workloads) {
    const { pod, namespace } = workload;
    const admission = await admit({ pod, namespace, dryRun: false, signal }, { config, provision, version: version() });
    results.push({ workload, admission });
  }
  return { results, manifests: [...applied.values()] };
};

/** Remembers what was applied last to each object, as it was applied. */
const recording = (cluster: Cluster, applied: Map<string, KubeObject>): Cluster => ({
  ...cluster,
  apply: async (object, signal) => {
    const result = await cluster.apply(object, signal);
    const { resourceVersion, ...metadata } = object.metadata;
    if (resourceVersion !== undefined)
      applied.set(`${object.kind} ${metadata.namespace}/${metadata.name ?? ""}`, { ...object, metadata });
    return result;
  },
});
