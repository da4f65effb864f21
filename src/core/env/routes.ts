import { knownHosts } from "./known.ts";
import type { Route, Routes } from "./settle.ts";
import type { Pod } from "../pod.ts";
import type { Assignment } from "../target.ts";

/** `host:port` of the table, as text. */
const readAddress = (text: string): { host: string; port: number } => {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
};

/**
 * The pod's own names (hostAliases) of the hosts that are looked for: a client that dials such a name means the host.
 */
export const aliasesOf = ({ spec }: Pod, isKnown: (host: string) => boolean): ReadonlyMap<string, string> => {
  const aliases = new Map<string, string>();
  for (const { ip, hostnames } of spec.hostAliases ?? []) {
    if (!isKnown(ip)) continue;
    for (const name of hostnames ?? []) if (!isKnown(name.toLowerCase())) aliases.set(name.toLowerCase(), ip);
  }
  return aliases;
};

/** The ports at which hostAliases serve a name; env do not change them. */
const aliasedPorts = (aliased: readonly Assignment[], host: string): readonly number[] =>
  aliased.filter(({ names }) => names.includes(host)).map(({ target }) => target.port);

type RouteDraft = { readonly isAssigned: boolean; readonly to: Map<number, readonly Assignment[]> };

/**
 * The Service for each host of a pod's env: the targets' own hosts, and every address at which the table offers them.
 * Through two tunnels an address has two servers. An env that holds the address then means the target without
 * `hostEnv`.
 *
 * @param assignments - of targets whose redirect is env
 * @param aliased - those of the others
 */
export const routesOf = (assignments: readonly Assignment[], aliased: readonly Assignment[] = []): Routes => {
  const hosts = new Map<string, RouteDraft>();
  const offered = new Map<string, ReadonlySet<number>>();
  const routeOf = (host: string, isAssigned: boolean): RouteDraft => {
    const route = hosts.get(host) ?? { isAssigned, to: new Map<number, readonly Assignment[]>() };
    hosts.set(host, route);
    return route;
  };
  const offer = (host: string, port: number, each: Assignment): void => {
    const { to } = routeOf(host, true);
    offered.set(host, NO_PORTS);
    if (!to.has(port)) to.set(port, [each]);
  };
  for (const each of assignments) {
    const { host, port } = each.target;
    const { to } = routeOf(host, false);
    const all = [...(to.get(port) ?? []), each];
    const bare = all.filter(({ target }) => target.hostEnv.length === 0);
    to.set(port, bare.length > 0 ? bare : all);
    offer(each.host, each.port, each);
  }
  for (const each of assignments) {
    for (const text of each.addresses) {
      const { host, port } = readAddress(text);
      offer(host, port, each);
    }
  }
  const routes = [...hosts].map(([host, route]): [string, Route] => {
    const ports = new Set([...route.to.keys(), ...aliasedPorts(aliased, host)]);
    return [host, { ...route, ports }];
  });
  return { known: knownHosts(portsOf(hosts)), hosts: new Map(routes), offered: knownHosts(offered) };
};
const NO_PORTS: ReadonlySet<number> = new Set();

const portsOf = (hosts: ReadonlyMap<string, RouteDraft>): ReadonlyMap<string, ReadonlySet<number>> =>
  new Map([...hosts].map(([host, { to }]) => [host, new Set(to.keys())]));

/** The routes of one pod, whose hostAliases give hosts more names. */
export const withAliases = (pod: Pod, routes: Routes): Routes => {
  const aliases = aliasesOf(pod, (host) => routes.hosts.get(host)?.isAssigned === false);
  return aliases.size === 0 ? routes : { ...routes, known: knownHosts(routes.known.ports, aliases) };
};
