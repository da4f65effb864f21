import { readHost } from "./host.ts";
import type { Assignment } from "./target.ts";

/** Where the hosts of a pod's env lead: host → port → assignment. The gateway's own name is one of the hosts. */
export type Routes = {
  readonly gateway: string;
  readonly hosts: ReadonlyMap<string, ReadonlyMap<number, Assignment>>;
  /** True for a string that may hold one of the hosts; cheap, because almost none does. */
  readonly mayHold: (text: string) => boolean;
};

export type Former = { readonly host: string; readonly port: number; readonly assignment: Assignment };

/** The hosts' canonical spelling: DNS names in lower case without the dot at the end, IPv6 per RFC 5952. */
export const canonicalHost = (text: string): string | undefined => {
  if (text.length > 256) return undefined;
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  if (bare.includes(":")) {
    const read = readHost(bare);
    return read.kind === "ipv6" ? read.host : undefined;
  }
  const name = bare === text ? text.toLowerCase() : "";
  return /[^\d]\.$|[a-z-][^.]*\.$/.test(name) ? name.slice(0, -1) : name;
};

/** Current addresses win over former ones: a second look at the same pod must find nothing to do. */
export const routesOf = (
  all: readonly Assignment[],
  byValue: readonly Assignment[],
  former: readonly Former[],
): Routes => {
  const hosts = new Map<string, Map<number, Assignment>>();
  const lead = (host: string, port: number, assignment: Assignment): void => {
    const ports = hosts.get(host) ?? new Map<number, Assignment>();
    if (!ports.has(port)) hosts.set(host, ports.set(port, assignment));
  };
  for (const assignment of all) lead(assignment.host, assignment.port, assignment);
  for (const assignment of byValue) lead(assignment.target.host, assignment.target.port, assignment);
  for (const { host, port, assignment } of former) if (byValue.includes(assignment)) lead(host, port, assignment);
  const names = [...hosts.keys()];
  const plain = names.filter((host) => !host.includes(":"));
  const folds = plain.some((host) => /[a-z]/.test(host));
  const hasIPv6 = plain.length < names.length;
  const mayHold = (text: string): boolean => {
    const folded = folds ? text.toLowerCase() : text;
    return plain.some((host) => folded.includes(host)) || (hasIPv6 && /::|(:[^:]*){7}/.test(text));
  };
  return { gateway: all[0]?.host ?? "", hosts, mayHold };
};
