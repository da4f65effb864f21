import type { KubeObject } from "./cluster.ts";

type Status = { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };

/** Whether a pod is ready, by its condition. */
export const isReady = (pod: KubeObject): boolean =>
  ((pod["status"] as Status | undefined)?.conditions ?? []).some(
    ({ type, status }) => type === "Ready" && status === "True",
  );
