/** A Deployment's template beside the one that is wanted. */
import type { KubeObject } from "../cluster/cluster.ts";
import type { Manifest } from "../core/gateway/manifests.ts";

/** On a Deployment: a hash of its spec as the webhook applies it. */
export const TEMPLATE_ANNOTATION = "flowgen.io/template";

/** Whether the wanted manifest replaces the pod. */
export const isRestart = (read: KubeObject, next: Manifest): boolean =>
  read.metadata.annotations?.[TEMPLATE_ANNOTATION] !== next.metadata.annotations?.[TEMPLATE_ANNOTATION];

/**
 * A manifest that takes over the ownership of `rollingUpdate`, where another field manager set it; undefined: there is none. The API
 * server refuses Recreate beside it. Applied with other values it belongs to the webhook, and the next apply, without it, removes it.
 */
export const claimOf = (read: KubeObject, manifest: Manifest): Manifest | undefined => {
  type Strategy = { readonly rollingUpdate?: { readonly maxSurge?: unknown; readonly maxUnavailable?: unknown } };
  const { strategy: { rollingUpdate } = {} } = read["spec"] as { readonly strategy?: Strategy };
  if (rollingUpdate === undefined) return undefined;
  const other = (value: unknown): number => (value === 1 ? 2 : 1);
  const { maxSurge, maxUnavailable } = rollingUpdate;
  const claimed = { maxSurge: other(maxSurge), maxUnavailable: other(maxUnavailable) };
  const spec = { ...(manifest["spec"] as object), strategy: { type: "RollingUpdate", rollingUpdate: claimed } };
  return { ...manifest, spec };
};
