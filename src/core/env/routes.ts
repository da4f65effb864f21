import { readHost } from "../host.ts";
import type { Assignment } from "../target.ts";

/** Port → assignment. */
export type Ports = ReadonlyMap<number, Assignment>;

/** The ports by which an env that is set to an assignment's host means that assignment: the target's own, and the one it has now. */
export const portsOf = (assignment: Assignment, others: readonly Assignment[] = []): Ports =>
  new Map([
    ...others.map((other) => [other.port, other] as const),
    [assignment.target.port, assignment],
    [assignment.port, assignment],
  ]);

/** Where the hosts of a pod's env lead: host → port → assignment. The gateway's own name is one of the hosts. */
export type Routes = {
  readonly gateway: string;
  readonly hosts: ReadonlyMap<string, Ports>;
  /** True for a string that may hold one of the hosts; cheap, because almost none does. */
  readonly mayHold: (text: string) => boolean;
};

/** An address that an assignment answered to before (status.ts): redirected as the target itself is. */
export type FormerAddress = { readonly host: string; readonly port: number; readonly assignment: Assignment };

/** The hosts' canonical spelling: DNS names in lower case without the dot at the end, IPv6 per RFC 5952. */
export const canonicalHost = (text: string): string | undefined => {
  if (text.length > 256) return undefined;
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  if (bare.includes(":")) {
    const read = readHost(bare);
    return read.kind === "ipv6" ? read.host : undefined;
  }
  const name = bare === text ? text.toLowerCase() : "";
  return name.endsWith(".") && /[^\d]\.$|[a-z-][^.]*\.$/.test(name) ? name.slice(0, -1) : name;
};

/**
 * FormerAddress addresses win over current ones: where two targets have swapped their ports since, the pod's env still mean the
 * old ones. They end with the admission that updates the status, so a second look at the same pod finds nothing to do.
 */
export const routesOf = (
  all: readonly Assignment[],
  byValue: readonly Assignment[],
  former: readonly FormerAddress[],
): Routes => {
  const hosts = new Map<string, Map<number, Assignment>>();
  const lead = (host: string, port: number, assignment: Assignment): void => {
    const ports = hosts.get(host) ?? new Map<number, Assignment>();
    if (!ports.has(port)) hosts.set(host, ports.set(port, assignment));
  };
  for (const { host, port, assignment } of former) lead(host, port, assignment);
  for (const assignment of all) lead(assignment.host, assignment.port, assignment);
  for (const assignment of byValue) lead(assignment.target.host, assignment.target.port, assignment);
  const names = [...hosts.keys()];
  const plain = names.filter((host) => !host.includes(":"));
  const hasIPv6 = plain.length < names.length;
  const mayHold = (text: string): boolean => {
    const folded = text.toLowerCase();
    return plain.some((host) => folded.includes(host)) || (hasIPv6 && /::|(:[^:]*){7}/.test(text));
  };
  return { gateway: all[0]?.host ?? "", hosts, mayHold };
};
