/** What of a pod besides its env holds a target's host. It is named, never rewritten: what `$(VAR)` brings there follows its env. */
import type { KnownHosts } from "./known.ts";
import { charge, type Work } from "./work.ts";
import type { Pod } from "../pod.ts";

export type HeldElsewhere = { readonly where: string; readonly hosts: readonly string[] };

export const heldElsewhere = (
  pod: Pod,
  known: KnownHosts,
  isTarget: (host: string) => boolean,
  work: Work,
): readonly HeldElsewhere[] => {
  const found: HeldElsewhere[] = [];
  for (const { name, texts } of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    for (const { at, text } of texts ?? []) {
      if (!charge(work, 50) || !known.mayHold(text, work)) continue;
      const hosts = known
        .words(text, work)
        .map(({ host }) => known.aliases.get(host) ?? host)
        .filter(isTarget);
      if (hosts.length > 0) found.push({ where: `${name}: ${at}`, hosts });
    }
  }
  for (const [index, { ip }] of (pod.spec.hostAliases ?? []).entries())
    if (isTarget(ip)) found.push({ where: `hostAliases[${index}]`, hosts: [ip] });
  return found;
};
