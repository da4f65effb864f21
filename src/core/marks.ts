/** The marks of an admitted pod: its labels and its status. */
import { perName, perObject } from "./memo.ts";
import { annotation, GATEWAY_LABEL, TARGET_LABEL_PREFIX } from "./names.ts";
import { pointer, type PatchOperation } from "./patch.ts";
import type { Pod } from "./pod.ts";
import type { Status } from "./status.ts";
import type { Assignment } from "./target.ts";

/** The labels of a pod that is admitted to these forwards. */
const targetLabels = perObject(
  (assignments: readonly Assignment[]): ReadonlyMap<string, string> =>
    new Map(assignments.map(({ forward }) => [`${TARGET_LABEL_PREFIX}${forward}`, "true"])),
);

const PATHS = {
  labels: perName((key) => pointer("metadata", "labels", key)),
  annotations: perName((key) => pointer("metadata", "annotations", key)),
};

/** Sets keys of a map below metadata, or removes them (`undefined`), where that changes something. */
const setKeys = (
  pod: Pod,
  map: "labels" | "annotations",
  values: Iterable<readonly [key: string, value: string | undefined]>,
): readonly PatchOperation[] => {
  const existing = pod.metadata[map] ?? undefined;
  const operations: PatchOperation[] = [];
  for (const [key, value] of values) {
    const current = existing?.[key];
    if (current === value) continue;
    if (existing === undefined && operations.length === 0)
      operations.push({ op: "add", path: pointer("metadata", map), value: {} });
    const path = PATHS[map](key);
    if (value === undefined) operations.push({ op: "remove", path });
    else operations.push({ op: current === undefined ? "add" : "replace", path, value });
  }
  return operations;
};

/**
 * The operations that mark a pod as admitted: labels for the NetworkPolicy, the status; a label that was forged goes.
 */
export const markPod = (
  pod: Pod,
  gateway: string,
  assignments: readonly Assignment[],
  status: Status,
): readonly PatchOperation[] => {
  const wanted = targetLabels(assignments);
  const forged = Object.keys(pod.metadata.labels ?? {}).filter(
    (key) => key.startsWith(TARGET_LABEL_PREFIX) && !wanted.has(key),
  );
  const labels = [...forged.map((key) => [key, undefined] as const), ...wanted, [GATEWAY_LABEL, gateway] as const];
  return [
    ...setKeys(pod, "labels", labels),
    ...setKeys(pod, "annotations", [[annotation.status, JSON.stringify(status)]]),
  ];
};
