/** A table as the webhook would make it, and the Services that it stands for. */
import type { Assignment, Target } from "../../../src/core/target.ts";
import { assignmentOf } from "../../making.ts";

/**
 * One Service for all hosts. A host has a Service of its own where it needs one, or where another host has the port.
 */
export const assign = (targets: readonly Target[], ownService: ReadonlySet<string>): readonly Assignment[] => {
  const owners = new Map<number, string>();
  return targets.map((target) => {
    const { host, port } = target;
    const isOwn = ownService.has(host) || (owners.get(port) ?? host) !== host;
    if (!isOwn) owners.set(port, host);
    return assignmentOf(target, isOwn ? { host: `h-${host.replaceAll(/[.:]/g, "-")}.ns.svc` } : {});
  });
};

/** Service → port → the target that a connection to it reaches. A host's own Service has all of the host's ports. */
export const servicesOf = (assignments: readonly Assignment[]): ReadonlyMap<string, ReadonlyMap<number, Target>> => {
  const services = new Map<string, Map<number, Target>>();
  for (const { host, target } of assignments) {
    const offered = host === "gw.ns.svc" ? [target] : assignments.map((each) => each.target);
    const ports = services.get(host) ?? new Map<number, Target>();
    for (const each of offered) if (host === "gw.ns.svc" || each.host === target.host) ports.set(each.port, each);
    services.set(host, ports);
  }
  return services;
};
