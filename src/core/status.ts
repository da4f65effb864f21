import { z } from "zod";
import { perObject } from "./memo.ts";
import { pointer, type PatchOperation } from "./patch.ts";
import type { Pod } from "./pod.ts";
import { fail, type Failure } from "./reasons.ts";
import { parseJson } from "./schema.ts";
import { address, type Assignment } from "./target.ts";
import { annotation, gatewayId, GATEWAY_LABEL, TARGET_LABEL_PREFIX } from "./names.ts";

/** The newest format of `flowgen.io/gateway-status` that this version reads. */
const STATUS_FORMAT = 2;

/** Format 1: target → address. Names and addresses only: an env's value may hold a password. */
const format1 = z.object({
  gateway: z.string(),
  targets: z.record(z.string(), z.string()),
  env: z.array(z.string()),
  version: z.string(),
});
/** Format 2: the name of a target → the target and its address. Two tunnels may have servers of one address. */
const format2 = z.object({
  format: z.literal(STATUS_FORMAT),
  targets: z.record(z.string(), z.object({ target: z.string(), address: z.string() })),
});
const anyFormat = z.object({ format: z.int() });
export type Status = z.infer<typeof format1>;

/** A target as the annotation has it, and the address that an admission gave it. */
export type StatusTarget = { readonly target: string; readonly address: string };
type StatusReading = { readonly kind: "status"; readonly targets: readonly StatusTarget[] } | Failure;

/**
 * The targets in a pod's status; none where the pod has no status, or one that cannot be read: a status is a hint and never trusted.
 * A newer format is a failure and no refusal: a newer version of the webhook answers the pod's next try.
 */
export const readStatus = (pod: Pod): StatusReading => {
  const raw = parseJson(pod.metadata.annotations?.[annotation.status] ?? "");
  const format = anyFormat.safeParse(raw);
  if (format.success && format.data.format > STATUS_FORMAT)
    return fail(
      "format-newer",
      `${annotation.status} has format ${format.data.format}, this version reads up to ${STATUS_FORMAT}`,
    );
  const second = format2.safeParse(raw);
  if (second.success) return { kind: "status", targets: Object.values(second.data.targets) };
  const first = format1.safeParse(raw);
  const targets = first.success ? Object.entries(first.data.targets) : [];
  return { kind: "status", targets: targets.map(([target, address]) => ({ target, address })) };
};

/** The labels of a pod that is admitted to these forwards. */
const targetLabels = perObject((assignments: readonly Assignment[]): Readonly<Record<string, string>> =>
  Object.fromEntries(assignments.map(({ forward }) => [`${TARGET_LABEL_PREFIX}${forward}`, "true"])),
);

/** Target → address, as a status says it. */
const addressesOf = perObject((assignments: readonly Assignment[]): Status["targets"] =>
  Object.fromEntries(assignments.map((item) => [targetOf(item), address(item.host, item.port)])),
);

const targetOf = ({ target }: Assignment): string => address(target.host, target.port);

/** An address that an assignment answered to before. */
type FormerAddress = { readonly host: string; readonly port: number; readonly assignment: Assignment };

/**
 * Addresses that an earlier status gave to targets which now have others: a pod that was restored, or copied to another
 * cluster. At worst a forged status redirects env of the forger's own pod to the forger's own targets.
 */
export const formerAddresses = (
  targets: readonly StatusTarget[],
  assignments: readonly Assignment[],
): readonly FormerAddress[] =>
  assignments.flatMap((assignment) => {
    const before = targets.find(({ target }) => target === targetOf(assignment))?.address;
    if (before === undefined || !/^[a-z0-9.-]{1,253}:[1-9]\d{0,4}$/.test(before)) return [];
    if (before === address(assignment.host, assignment.port)) return [];
    const colon = before.lastIndexOf(":");
    return [{ host: before.slice(0, colon), port: Number(before.slice(colon + 1)), assignment }];
  });

/** Sets `key` of a map below metadata, or removes it (`undefined`), where that changes something. */
const setKey = (
  pod: Pod,
  map: "labels" | "annotations",
  values: Readonly<Record<string, string | undefined>>,
): readonly PatchOperation[] => {
  const existing = pod.metadata[map] ?? undefined;
  const operations = Object.entries(values).flatMap(([key, value]): PatchOperation[] => {
    const current = existing?.[key];
    if (current === value) return [];
    const path = pointer("metadata", map, key);
    if (value === undefined) return [{ op: "remove", path }];
    return [{ op: current === undefined ? "add" : "replace", path, value }];
  });
  return existing === undefined && operations.length > 0
    ? [{ op: "add", path: pointer("metadata", map), value: {} }, ...operations]
    : operations;
};

/** The operations that mark a pod as admitted: labels for the NetworkPolicy, the status; a label that was forged goes. */
export const markPod = (
  pod: Pod,
  gateway: string,
  assignments: readonly Assignment[],
  status: Status,
): readonly PatchOperation[] => {
  const wanted = targetLabels(assignments);
  const forged = Object.keys(pod.metadata.labels ?? {}).filter(
    (key) => key.startsWith(TARGET_LABEL_PREFIX) && !Object.hasOwn(wanted, key),
  );
  const removed = Object.fromEntries(forged.map((key) => [key, undefined]));
  return [
    ...setKey(pod, "labels", { ...removed, ...wanted, [GATEWAY_LABEL]: gateway }),
    ...setKey(pod, "annotations", { [annotation.status]: JSON.stringify(status) }),
  ];
};

/** The status of a pod whose env (`container/NAME`) lead to these assignments. */
export const statusOf = (
  gateway: { readonly name: string; readonly namespace: string },
  assignments: readonly Assignment[],
  env: readonly string[],
  version: string,
): Status => ({
  gateway: gatewayId(gateway),
  targets: addressesOf(assignments),
  env: [...env],
  version,
});
