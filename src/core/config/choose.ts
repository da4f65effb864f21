import { allowedText, grants } from "./allowed.ts";
import type { Config, Gateway, PlacedGateway, Tunnel } from "./config.ts";
import { admitsNamespace, isPattern } from "./namespaces.ts";
import { forbiddenHost } from "../host.ts";
import { listed } from "../message.ts";
import { reject, type Rejection } from "../reasons.ts";
import { quote } from "../schema.ts";
import { address, type Target } from "../target.ts";
import { annotation } from "../names.ts";

/** The gateway that a pod names, else the default one; placed in its own namespace or in the pod's. */
export const findGateway = (
  config: Config,
  namespace: string,
  wished: string | undefined,
): { readonly kind: "gateway"; readonly gateway: PlacedGateway } | Rejection => {
  const enabled = config.gateways.filter((item) => item.enabled);
  const name = wished ?? config.defaultGateway;
  const gateway = enabled.find((item) => item.name === name);
  if (gateway !== undefined) return { kind: "gateway", gateway: placed(config, gateway, namespace) };
  const where = wished === undefined ? "the config's defaultGateway" : annotation.gateway;
  return reject(
    "gateway-unknown",
    `${where}: ${quote(name)} is none of ${enabled.map((item) => item.name).join(", ")}`,
  );
};

type HostPort = Pick<Target, "host" | "port">;

const placed = ({ clusterDomain }: Config, gateway: Gateway, namespace: string): PlacedGateway => ({
  ...gateway,
  namespace: gateway.namespace ?? namespace,
  isPerNamespace: gateway.namespace === undefined,
  clusterDomain,
});

/** Where a gateway of this name is, or was seen. */
export type GatewayRef = { readonly name: string; readonly namespace: string };

/** The namespaces that the config's gateways name, those of disabled ones too. */
export const namespacesIn = ({ gateways }: Config): readonly string[] => [
  ...new Set(gateways.flatMap(({ namespace }) => namespace ?? [])),
];

/** Whether an enabled gateway of the config has this place. */
export const isPlaced = ({ gateways }: Config, { name, namespace }: GatewayRef): boolean =>
  gateways.some((item) => item.enabled && item.name === name && (item.namespace ?? namespace) === namespace);

/** All gateways of the config: those with a namespace, and of each other one those in the places that are known. */
export const placedGateways = (config: Config, known: readonly GatewayRef[]): readonly PlacedGateway[] =>
  config.gateways
    .filter(({ enabled }) => enabled)
    .flatMap((gateway) =>
      gateway.namespace === undefined
        ? known.filter(({ name }) => name === gateway.name).map(({ namespace }) => placed(config, gateway, namespace))
        : [placed(config, gateway, gateway.namespace)],
    );

/** A refusal where the namespace may use no tunnel of the gateway, for any target. */
export const withoutTunnel = (gateway: Gateway, namespace: string): Rejection | undefined =>
  gateway.tunnels.some((tunnel) => admitsNamespace(tunnel, namespace))
    ? undefined
    : reject("tunnel-namespace", `namespace ${namespace} may use no tunnel of ${gateway.name}`);

/** Whether a tunnel has a static forward to the target. */
export const isStatic = (tunnel: Tunnel, { host, port }: HostPort): boolean =>
  tunnel.portForwards.some((forward) => forward.targetHost === host && forward.targetPort === port);

const granted = (allowed: Tunnel["allowedTargets"], { host, port }: HostPort): boolean =>
  allowed.some((each) => grants(each, host, port));

/** To all who may use the tunnel; a static forward is an admin's grant of its own target. */
const isForAll = (tunnel: Tunnel, target: HostPort): boolean =>
  granted(tunnel.allowedTargets, target) || isStatic(tunnel, target);

/** Whether a tunnel may carry a target, for at least one namespace. */
export const carries = (tunnel: Tunnel, target: HostPort): boolean =>
  isForAll(tunnel, target) || tunnel.rules.some(({ allowedTargets }) => granted(allowedTargets, target));

/** Whether a pod of a namespace may reach a target through a tunnel. */
const mayReach = (tunnel: Tunnel, target: HostPort, namespace: string): boolean =>
  admitsNamespace(tunnel, namespace) &&
  (isForAll(tunnel, target) ||
    tunnel.rules.some((rule) => admitsNamespace(rule, namespace) && granted(rule.allowedTargets, target)));

/**
 * The namespaces that may reach a target through a tunnel, sorted. They are those that the config names, and those of
 * `asking` that match a pattern of the config. Undefined: every namespace may.
 */
export const reachingNamespaces = (
  tunnel: Tunnel,
  target: HostPort,
  asking: readonly string[],
): readonly string[] | undefined => {
  if (tunnel.namespaces === undefined && isForAll(tunnel, target)) return undefined;
  const named = [tunnel, ...tunnel.rules]
    .flatMap(({ namespaces = [] }) => namespaces)
    .filter((text) => !isPattern(text));
  return [...new Set([...named, ...asking])].filter((name) => mayReach(tunnel, target, name)).sort();
};

/** Whether a tunnel's config lets pods use this name as an alias of its targets. */
export const grantsAlias = (tunnel: Tunnel, name: string): boolean =>
  tunnel.allowedAliases.some((allowed) => grants(allowed, name, 0));

/** The targets that a namespace may have, of the tunnels that it may use only. */
const allowedTo = (namespace: string, tunnels: readonly Tunnel[]): string => {
  const allowed = tunnels
    .filter((tunnel) => admitsNamespace(tunnel, namespace))
    .flatMap((tunnel) => [tunnel, ...tunnel.rules.filter((rule) => admitsNamespace(rule, namespace))])
    .flatMap(({ allowedTargets }) => allowedTargets);
  return allowed.length === 0
    ? `nothing is allowed to namespace ${namespace}`
    : `allowed to namespace ${namespace}: ${listed(allowed.map(allowedText), MOST_ALLOWED)}`;
};
const MOST_ALLOWED = 8;

/**
 * The tunnel that carries a target: the one that the entry or the pod names, else the only one that may. `where` names
 * the entry in messages.
 */
export const findTunnel = (
  gateway: Gateway,
  namespace: string,
  target: Target,
  podTunnel: string | undefined,
  where: string,
): { readonly kind: "tunnel"; readonly tunnel: Tunnel } | Rejection => {
  const what = `${where}: ${address(target.host, target.port)}`;
  const forbidden = forbiddenHost(target.host);
  if (forbidden !== undefined) return reject("target-forbidden", `${where}: ${forbidden}`);
  const wished = target.tunnel ?? podTunnel;
  const named = wished === undefined ? gateway.tunnels : gateway.tunnels.filter((tunnel) => tunnel.name === wished);
  if (named.length === 0) {
    const at = target.tunnel === undefined ? annotation.tunnel : `${where}.tunnel`;
    const known = gateway.tunnels.map((tunnel) => tunnel.name).join(", ");
    return reject("tunnel-unknown", `${at}: ${quote(wished)} is none of ${gateway.name}'s: ${known}`);
  }
  const able = named.filter((tunnel) => carries(tunnel, target));
  if (able.length === 0)
    return reject(
      "target-not-allowed",
      `${what} through ${named.map((tunnel) => tunnel.name).join(", ")} (${allowedTo(namespace, named)})`,
    );
  const [only, ...others] = able.filter((tunnel) => mayReach(tunnel, target, namespace));
  if (only === undefined)
    return reject(
      "tunnel-namespace",
      `${what} from namespace ${namespace} through ${able.map((tunnel) => tunnel.name).join(", ")}`,
    );
  if (others.length > 0)
    return reject("tunnel-ambiguous", `${what}: ${[only, ...others].map((tunnel) => tunnel.name).join(", ")}`);
  const alias = target.aliases.findIndex((name) => !grantsAlias(only, name));
  return alias < 0
    ? { kind: "tunnel", tunnel: only }
    : reject("alias-not-allowed", `${where}.aliases[${alias}]: ${quote(target.aliases[alias])} through ${only.name}`);
};
