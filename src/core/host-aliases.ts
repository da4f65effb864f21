import type { PatchOperation } from "./patch.ts";
import { pointer } from "./patch.ts";
import type { Container, Pod } from "./pod.ts";
import { reject, type Rejection } from "./reasons.ts";
import type { Assignment } from "./target.ts";

export type Aliasing = {
  readonly kind: "aliases";
  readonly operations: readonly PatchOperation[];
  readonly warnings: readonly string[];
};

/** The kubelet writes this file from hostAliases, except in a container that mounts its own. */
const HOSTS_FILE = "/etc/hosts";

type Led = { readonly name: string; readonly ips: readonly string[] };

const ledNames = (assignments: readonly Assignment[]): readonly Led[] => {
  const led = new Map<string, Led>();
  for (const { names, clusterIPs: ips } of assignments) for (const name of names) led.set(name, { name, ips });
  return [...led.values()];
};

const ownHostsFile = ({ spec }: Pod): Container | undefined =>
  [...spec.containers, ...(spec.initContainers ?? [])].find(({ volumeMounts }) =>
    volumeMounts?.some(({ mountPath }) => mountPath.replace(/\/+$/, "") === HOSTS_FILE),
  );

/** The name in a pod's own entries, with an address that is not its Service's. */
const otherEntry = ({ spec }: Pod, { name, ips }: Led): string | undefined =>
  (spec.hostAliases ?? []).find(
    ({ ip, hostnames }) => !ips.includes(ip) && hostnames?.some((each) => each.toLowerCase() === name),
  )?.ip;

/** One entry for each address (the list's key is `ip`), with the names that it lacks. */
const entryOperations = ({ spec }: Pod, led: readonly Led[]): readonly PatchOperation[] => {
  const entries = spec.hostAliases ?? [];
  const operations: PatchOperation[] = [];
  for (const ip of new Set(led.flatMap(({ ips }) => ips))) {
    const names = led.filter(({ ips }) => ips.includes(ip)).map(({ name }) => name);
    const index = entries.findIndex((entry) => entry.ip === ip);
    const present = entries[index]?.hostnames ?? [];
    const missing = names.filter((name) => !present.includes(name));
    if (missing.length === 0) continue;
    const list = pointer("spec", "hostAliases");
    if (index < 0) operations.push({ op: "add", path: `${list}/-`, value: { ip, hostnames: missing } });
    else if (entries[index]?.hostnames == null)
      operations.push({ op: "add", path: `${list}/${index}/hostnames`, value: missing });
    else for (const name of missing) operations.push({ op: "add", path: `${list}/${index}/hostnames/-`, value: name });
  }
  return operations.length > 0 && spec.hostAliases == null
    ? [{ op: "add", path: pointer("spec", "hostAliases"), value: [] }, ...operations]
    : operations;
};

/**
 * The operations that map the names of a pod's targets to the cluster IPs of their hosts' Services, in
 * `spec.hostAliases`. Nothing else of the pod changes. A rejection where an entry of the pod maps such a name
 * elsewhere, or where a container mounts its own /etc/hosts.
 */
export const aliasHosts = (pod: Pod, assignments: readonly Assignment[]): Aliasing | Rejection => {
  const led = ledNames(assignments);
  if (led.length === 0) return { kind: "aliases", operations: [], warnings: [] };
  const container = ownHostsFile(pod);
  if (container !== undefined) return reject("hosts-file-mounted", `container ${container.name}`);
  for (const each of led) {
    const ip = otherEntry(pod, each);
    if (ip !== undefined) return reject("alias-conflict", `spec.hostAliases maps ${each.name} to ${ip} already`);
  }
  const assumed = assignments.filter(({ isAssumed, names }) => isAssumed === true && names.length > 0);
  return {
    kind: "aliases",
    operations: entryOperations(pod, led),
    warnings: assumed.map(
      ({ target, clusterIPs }) =>
        `${target.name}: ${clusterIPs.join(", ")} stands for the address that its Service gets with the first real admission`,
    ),
  };
};
