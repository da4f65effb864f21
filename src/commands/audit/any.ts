import { audit, type AuditOptions } from "./audit.ts";
import { auditLive } from "./live.ts";
import { UsageError } from "../options/options.ts";
import type { Output } from "../options/output.ts";

export type AuditAnyOptions = Omit<AuditOptions, "output"> & {
  readonly allNamespaces: boolean;
  readonly suggest: boolean;
  readonly output: "table" | "json" | "html";
};

/**
 * `audit`: of manifests where -f or -k names some, else of a cluster. `isDefaultConfig`: no config was named, and a
 * cluster's is that of its installation. Throws a UsageError for options that do not go together, and as `audit` and
 * `auditLive` do.
 */
export const auditAny = (options: AuditAnyOptions, isDefaultConfig: boolean, output: Output): Promise<0 | 1 | 2> => {
  const { file, kustomize, cluster, namespace, allNamespaces, suggest, output: format, config } = options;
  if (file.length + kustomize.length > 0) {
    if (allNamespaces || suggest || format === "html")
      throw new UsageError("-A, --suggest and -o html are for a cluster: leave out -f and -k");
    return audit({ ...options, output: format }, output);
  }
  if (!allNamespaces && namespace === undefined)
    throw new UsageError("no manifests: name them with -f or -k; or a cluster's workloads with -A or -n");
  if (cluster === "memory") throw new UsageError("--cluster memory: name the cluster with kubeconfig or in-cluster");
  const live = { ...options, cluster: cluster ?? "kubeconfig", namespace: allNamespaces ? "" : (namespace ?? "") };
  return auditLive({ ...live, config: isDefaultConfig ? undefined : config }, output);
};
