/** What of a pod besides its env holds a target's host. It is named, never rewritten: what `$(VAR)` brings there follows its env. */
import type { KnownHosts } from "./known.ts";
import { asksForSrv } from "./sighting.ts";
import { charge, type Work } from "./work.ts";
import type { Pod } from "../pod.ts";

export type HeldElsewhere = {
  readonly where: string;
  readonly hosts: readonly string[];
  /** Those of the hosts that stand in a URL which asks for SRV records. */
  readonly srv: readonly string[];
};

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
      const words = known
        .words(text, work)
        .map(({ host, start }) => ({ host: known.aliases.get(host) ?? host, start }))
        .filter(({ host }) => isTarget(host));
      const srv = words.filter(({ start }) => asksForSrv(text, start)).map(({ host }) => host);
      if (words.length > 0) found.push({ where: `${name}: ${at}`, hosts: words.map(({ host }) => host), srv });
    }
  }
  for (const [index, { ip }] of (pod.spec.hostAliases ?? []).entries())
    if (isTarget(ip)) found.push({ where: `hostAliases[${index}]`, hosts: [ip], srv: [] });
  return found;
};
