/**
 * Places of a pod, besides its env, that hold a target's host. They are named and never rewritten: the text of `$(VAR)`
 * in commands and arguments follows its env. Two more finds are named. One is a host put together from several env. The
 * other is a host of an env in a URL that asks for SRV records.
 */
import type { KnownHosts } from "./known.ts";
import { expand, pieceOf, type Referred } from "./reference.ts";
import { asksForSrv } from "./sighting.ts";
import { charge, type Work } from "./work.ts";
import { type Container, isExpandedText, type Pod } from "../pod.ts";

export type HeldElsewhere = {
  readonly where: string;
  readonly hosts: readonly string[];
  /** Those of the hosts that stand in a URL which asks for SRV records. */
  readonly srv: readonly string[];
};

type Lookup = (name: string) => Referred | undefined;

/** The env of a container as `$(VAR)` in its command and arguments means them: the last of a name. */
const lookupOf = (env: Container["env"], work: Work): Lookup => {
  const texts = new Map<string, Referred>();
  for (const [index, { name, value = "", valueFrom }] of (env ?? []).entries()) {
    const text = valueFrom == null ? expand(value, (each) => texts.get(each), work)?.text : undefined;
    if (text === undefined) texts.delete(name);
    else texts.set(name, { env: index, text });
  }
  return (name) => texts.get(name);
};

type Found = { readonly host: string; readonly isSrv: boolean };

/**
 * The hosts of a text: its own, those put together with references, and those of an env in a URL that asks for SRV
 * records.
 */
const foundIn = (text: string, lookup: Lookup | undefined, known: KnownHosts, work: Work): readonly Found[] => {
  const expanded = lookup && text.includes("$(") ? expand(text, lookup, work) : undefined;
  const { text: whole, pieces } = expanded ?? { text, pieces: [] };
  if (!charge(work, 50) || !known.mayHold(whole, work)) return [];
  return known.words(whole, work).flatMap((word) => {
    const isSrv = asksForSrv(whole, word.start);
    const isBrought = pieces.length > 0 && pieceOf({ text: whole, pieces }, word)?.env !== undefined;
    return isBrought && !isSrv ? [] : [{ host: known.aliases.get(word.host) ?? word.host, isSrv }];
  });
};

/**
 * `isTarget`: of hosts as they are before the redirect; a name of the gateway in a URL that asks for SRV records counts
 * too. `isMapped`: of names that the webhook's own hostAliases map.
 */
export const heldElsewhere = (
  pod: Pod,
  known: KnownHosts,
  isTarget: (host: string) => boolean,
  work: Work,
  isMapped: (name: string) => boolean = () => false,
): readonly HeldElsewhere[] => {
  const found: HeldElsewhere[] = [];
  for (const { name, env, texts } of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    const lookup = texts?.some(({ text }) => text.includes("$(")) === true ? lookupOf(env, work) : undefined;
    for (const each of texts ?? []) {
      const words = foundIn(each.text, isExpandedText(each) ? lookup : undefined, known, work).filter(
        ({ host, isSrv }) => isSrv || isTarget(host),
      );
      const srv = words.filter(({ isSrv }) => isSrv).map(({ host }) => host);
      if (words.length > 0) found.push({ where: `${name}: ${each.at}`, hosts: words.map(({ host }) => host), srv });
    }
  }
  for (const [index, { ip, hostnames }] of (pod.spec.hostAliases ?? []).entries()) {
    const names = (hostnames ?? []).map((name) => name.toLowerCase());
    const hosts = [ip, ...names].filter((host) => isTarget(host) && (host === ip || !isMapped(host)));
    if (hosts.length > 0) found.push({ where: `hostAliases[${index}]`, hosts, srv: [] });
  }
  return found;
};
