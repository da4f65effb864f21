/** Cluster IPs of Services: one family, one range, each address given once. */
import type { Fields } from "./fields.ts";
import type { State, Stored } from "./metadata.ts";

const clusterIPOf = (content: Fields | undefined): string | undefined => {
  const { clusterIP } = { ...(content?.["spec"] as Fields | undefined) };
  return typeof clusterIP === "string" && clusterIP !== "" && clusterIP !== "None" ? clusterIP : undefined;
};

const isHeldIn = (state: State, ip: string): boolean =>
  [...state.stored.values()].some(({ content }) => clusterIPOf(content) === ip);

/**
 * The address of a Service that asks for none: the one that it has (as the API server's `patchAllocatedValues`), or a
 * free one.
 */
export const addressFor = (state: State, live: Stored | undefined) => (): string | undefined => {
  const present = clusterIPOf(live?.content);
  if (present !== undefined) return present;
  for (; state.hasAddresses;) {
    const count = ++state.count;
    const ip = `10.96.${(count >> 8) & 255}.${count & 255}`;
    if (!isHeldIn(state, ip)) return ip;
  }
  return undefined;
};

/** The fault of the address that a new Service asks for. */
export const addressProblems = (state: State, live: Stored | undefined, content: Fields): readonly string[] => {
  const ip = clusterIPOf(content);
  return live === undefined && ip !== undefined && isHeldIn(state, ip)
    ? [`spec.clusterIPs: Invalid value: ["${ip}"]: failed to allocate IP ${ip}: provided IP is already allocated`]
    : [];
};
