/**
 * The namespaces that asked for a gateway's forwards, and how many each may ask for. A forward names a namespace once,
 * with the first of its pods. The policy of a gateway reads the names where the config grants by patterns.
 */
import { isStatic, reachingNamespaces } from "../config/choose.ts";
import type { PlacedGateway } from "../config/config.ts";
import { listed } from "../message.ts";
import { reject, type Rejection } from "../reasons.ts";
import type { Want } from "../target.ts";
import type { Forward } from "./table.ts";

/** Of the table's bytes: names of namespaces take no more, so that they leave room for forwards. */
const NAMES_END = 600_000;
/** Namespaces that a message names. */
const SHOWN = 5;

export const hasRoomForNames = (bytes: number): boolean => bytes < NAMES_END;

/** Whether the forward is to name the want's namespace, and does not. A gateway of one namespace has its pods alone. */
export const lacksName = (
  gateway: PlacedGateway,
  { namespaces = [] }: Forward,
  { namespace, tunnel, target }: Want,
  hasRoom: () => boolean,
): boolean => {
  if (gateway.isPerNamespace || namespaces.includes(namespace)) return false;
  if (hasRoom()) return true;
  // Without room it is left out where nothing but the namespace's share depends on it.
  const through = gateway.tunnels.find(({ name }) => name === tunnel);
  const named = through && reachingNamespaces(through, target, []);
  return named !== undefined && !named.includes(namespace);
};

/**
 * Forwards by the namespace that asked for them, the largest number first. An admin's own forwards count for no
 * namespace.
 */
const shares = (gateway: PlacedGateway, forwards: readonly Forward[]): readonly (readonly [string, number])[] => {
  const counts = new Map<string, number>();
  for (const { tunnel, targetHost: host, targetPort: port, namespaces = [] } of forwards) {
    const through = gateway.tunnels.find(({ name }) => name === tunnel);
    if (through && isStatic(through, { host, port })) continue;
    for (const namespace of namespaces) counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
  }
  return [...counts].sort(([a, more], [b, fewer]) => fewer - more || (a < b ? -1 : 1));
};

/** A reason not to give the want a new forward: the gateway has all of its own, or the namespace its share. */
export const shareProblem = (
  gateway: PlacedGateway,
  forwards: readonly Forward[],
  { target, namespace }: Want,
): Rejection | undefined => {
  const { name, maxForwards, maxForwardsPerNamespace: most, isPerNamespace } = gateway;
  const isFull = forwards.length >= maxForwards;
  if (!isFull && isPerNamespace) return undefined;
  const all = shares(gateway, forwards);
  const holders = listed(
    all.map(([holder, count]) => `${holder} ${count}`),
    SHOWN,
  );
  const asked = all.length === 0 ? "" : `; asked for by ${holders}`;
  if (isFull)
    return reject(
      "gateway-full",
      `${target.name}: ${name} holds ${forwards.length} forwards of at most ${maxForwards}${asked}`,
    );
  const own = all.find(([holder]) => holder === namespace)?.[1] ?? 0;
  return own < most
    ? undefined
    : reject(
        "namespace-full",
        `${target.name}: namespace ${namespace} asked for ${own} forwards of ${name}, of at most ${most}${asked}`,
      );
};
