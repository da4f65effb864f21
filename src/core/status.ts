import * as z from "zod";
import { perObject } from "./memo.ts";
import type { Pod } from "./pod.ts";
import { fail, type Failure, reject, type Rejection } from "./reasons.ts";
import { parseJson, quote } from "./schema.ts";
import { address, type Assignment, type Redirect } from "./target.ts";
import { annotation, gatewayId } from "./names.ts";

/** The newest format of `flowgen.io/gateway-status` that this version reads. */
const STATUS_FORMAT = 2;

/** Format 1: target → address. Names and addresses only: an env's value may hold a password. */
const format1 = z.object({
  gateway: z.string(),
  targets: z.record(z.string(), z.string()),
  env: z.array(z.string()),
  version: z.string(),
});
const statusTarget = z.object({
  target: z.string(),
  tunnel: z.string().optional(),
  address: z.string(),
  ips: z.array(z.string()).optional(),
});
/** Format 2: the name of a target → the target and its address. Two tunnels may have servers of one address. */
const format2 = z.object({
  format: z.literal(STATUS_FORMAT),
  targets: z.record(z.string(), statusTarget),
});
const anyFormat = z.object({ format: z.int() });
/** A status as this version writes it: format 2, in full. */
export type Status = {
  readonly format: typeof STATUS_FORMAT;
  readonly gateway: string;
  readonly targets: Readonly<Record<string, StatusOfTarget>>;
  /** `container/NAME` of the env that hold a Service's name. */
  readonly env: readonly string[];
  /** All that holds a target's host and was not rewritten: `container/NAME`, `container: args[3]`. */
  readonly unread?: readonly string[];
  readonly version: string;
};
type StatusOfTarget = StatusTarget & {
  readonly tunnel: string;
  readonly redirect: Redirect;
  /** The names that hostAliases map to the cluster IPs. */
  readonly names?: readonly string[];
};

/**
 * A target as the annotation has it, and the address that an admission gave it: a Service, and its cluster IPs for
 * hostAliases.
 */
export type StatusTarget = {
  readonly target: string;
  /** Absent in a status of format 1. */
  readonly tunnel?: string | undefined;
  readonly address: string;
  readonly ips?: readonly string[] | undefined;
};
type StatusReading = { readonly kind: "status"; readonly targets: readonly StatusTarget[] } | Failure;

/** The API server stores no more in all annotations of an object: a longer one was never a pod's. */
const LONGEST_STATUS = 262_144;

/**
 * The targets in a pod's status; none where the pod has no status, or one that cannot be read. A status is a hint and
 * never trusted. A newer format is a failure and no refusal: a newer version of the webhook answers the pod's next try.
 */
export const readStatus = (pod: Pick<Pod, "metadata">): StatusReading => {
  const text = pod.metadata.annotations?.[annotation.status];
  if (text === undefined) return { kind: "status", targets: [] };
  const raw = text.length > LONGEST_STATUS ? undefined : parseJson(text);
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

const statusTargets = perObject((assignments: readonly Assignment[]): Status["targets"] =>
  Object.fromEntries(
    assignments.map((item) => {
      const { target, tunnel, redirect, names, clusterIPs: ips } = item;
      const led = names.length > 0 ? { names, ips } : {};
      return [
        target.name,
        { target: targetOf(item), tunnel, address: address(item.host, item.port), redirect, ...led },
      ];
    }),
  ),
);

const targetOf = ({ target }: Assignment): string => address(target.host, target.port);

/**
 * A pod that was made from an admitted one (restored, copied to another cluster) has the addresses of that admission in
 * its env and hostAliases. They stay while the table offers the targets there; else the pod is refused, since they may
 * be other targets' now.
 */
export const goneAddress = (
  pod: Pod,
  before: readonly StatusTarget[],
  assignments: readonly Assignment[],
): Rejection | undefined => {
  for (const assignment of assignments) {
    const former = before.find(
      ({ target, tunnel = assignment.tunnel }) => target === targetOf(assignment) && tunnel === assignment.tunnel,
    );
    if (former === undefined) continue;
    const ip = formerIp(pod, former, assignment);
    if (ip !== undefined) return reject("address-gone", `${assignment.target.name}: ${ip} in spec.hostAliases`);
    if (assignment.addresses.includes(former.address)) continue;
    if (isInEnv(pod, former.address.replace(/:\d+$/, "")))
      return reject("address-gone", `${assignment.target.name}: ${quote(former.address)}`);
  }
  return undefined;
};

/**
 * A cluster IP of the former admission to which the pod still maps a name of the assignment, and which is not its
 * Service's now.
 */
const formerIp = ({ spec }: Pod, { ips = [] }: StatusTarget, { names, clusterIPs }: Assignment): string | undefined =>
  (spec.hostAliases ?? []).find(
    ({ ip, hostnames }) =>
      ips.includes(ip) && !clusterIPs.includes(ip) && hostnames?.some((name) => names.includes(name)) === true,
  )?.ip;

const isInEnv = ({ spec }: Pod, host: string): boolean =>
  [...spec.containers, ...(spec.initContainers ?? [])].some(({ env }) =>
    env?.some(({ value }) => value?.includes(host) === true),
  );

/** The status of a pod whose env (`container/NAME`) hold these assignments. */
export const statusOf = (
  gateway: { readonly name: string; readonly namespace: string },
  assignments: readonly Assignment[],
  { env, unread }: { readonly env: readonly string[]; readonly unread: readonly string[] },
  version: string,
): Status => ({
  format: STATUS_FORMAT,
  gateway: gatewayId(gateway),
  targets: statusTargets(assignments),
  env,
  ...(unread.length > 0 && { unread }),
  version,
});
