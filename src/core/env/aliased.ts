/** Reads a pod's env for hosts that hostAliases map. It runs before anything is provisioned, and rewrites nothing. */
import { readContainer, srvEnv } from "./container.ts";
import { type ContainerDraft, containerDrafts, rulesOf } from "./draft.ts";
import { heldElsewhere } from "./elsewhere.ts";
import { knownHosts } from "./known.ts";
import { MOST_NAMES, noteText } from "./note.ts";
import { keptEnv, srvRejection, tooMuch } from "./reading.ts";
import { noteOf } from "./verdict.ts";
import { isSpent, MOST_NAMES_TEXT, workOf } from "./work.ts";
import { perObject } from "../memo.ts";
import { listed } from "../message.ts";
import type { EnvVar, Pod } from "../pod.ts";
import type { Rejection } from "../reasons.ts";
import type { Want } from "../target.ts";

export type Aliased = {
  readonly kind: "aliased";
  /** All that holds an address whose target is redirected by aliases only: `container/NAME`, `container: args[3]`. */
  readonly unread: readonly string[];
  readonly warnings: readonly string[];
};

type Known = {
  /** The ports of its targets, by each name and address of a host. */
  readonly ports: ReadonlyMap<string, ReadonlySet<number>>;
  /**
   * The aliases of a host by its address. hostAliases cannot map an address, and the pod's env are not rewritten for
   * it.
   */
  readonly bare: ReadonlyMap<string, readonly string[]>;
};

/** One for all pods that share their wants. */
const knownOf = perObject((wants: readonly Want[]): Known => {
  const ports = new Map<string, Set<number>>();
  const bare = new Map<string, readonly string[]>();
  for (const { target, names, redirect, tunnel } of wants) {
    const ofHost = wants.filter((other) => other.target.host === target.host && other.tunnel === tunnel);
    const isBare = redirect === "hostAlias" && !names.includes(target.host);
    for (const host of isBare ? [target.host, ...names] : names)
      ports.set(host, new Set([...(ports.get(host) ?? []), ...ofHost.map((other) => other.target.port)]));
    if (isBare && wants.every((other) => other.target.host !== target.host || other.redirect === "hostAlias"))
      bare.set(target.host, names);
  }
  return { ports, bare };
});

/** Env that an entry names, and that its redirect does not set. */
const unsetEnv = ({ redirect, target: { name, hostEnv, portEnv } }: Want): readonly string[] => {
  const named = redirect === "hostAlias" ? [...hostEnv, ...portEnv] : [];
  return named.length === 0 ? [] : [`${name}: redirect hostAlias changes no env: ${listed(named, MOST_NAMES)} stays`];
};

/**
 * Reads a pod for the names of its targets, which hostAliases map. Two kinds of env are named. The first hold the
 * address of a target that is redirected by aliases only. The second hold a mapped name with a port that no target has.
 *
 * An env that is a URL whose servers are found by SRV records is refused. Such a URL in another text is named: the
 * client asks DNS for SRV records, not the hosts file.
 */
export const readAliased = (pod: Pod, wants: readonly Want[]): Aliased | Rejection => {
  const { ports, bare } = knownOf(wants);
  if (ports.size === 0) return { kind: "aliased", unread: [], warnings: [] };
  const work = workOf();
  const setup = { reached: [], settings: new Map(), keeps: keptEnv(pod) };
  const known = knownHosts(ports);
  const unread = new Set<string>();
  const warnings = new Set(wants.flatMap(unsetEnv));
  const unled = (where: string, host: string): void => {
    unread.add(where);
    const env = where.slice(where.indexOf("/") + 1);
    warnings.add(
      `${env} holds ${host}: hostAliases map ${listed(bare.get(host) as readonly string[], MOST_NAMES)} only`,
    );
  };
  for (const draft of containerDrafts(pod, setup, work) as readonly ContainerDraft[]) {
    const reading = readContainer(draft.env, known, rulesOf(setup), work);
    const nameOf = (env: number): string => (draft.env[env] as EnvVar).name;
    const srv = srvEnv(reading, draft.env);
    if (srv !== undefined) return srvRejection(draft, srv);
    for (const { host, env, reads } of reading.held) {
      if (bare.has(host)) unled(`${draft.container.name}/${nameOf(env)}`, host);
      const isTargets = ports.get(host) as ReadonlySet<number>;
      for (const { env: reader, how } of bare.has(host) ? [] : reads) {
        const note = noteOf({ env: reader, how }, isTargets);
        if (note?.kind === "port" || (note?.kind === "left" && note.why === "srv"))
          warnings.add(noteText(nameOf(reader), note, [host], [...isTargets]));
      }
    }
    for (const [env, breaks] of reading.broken)
      for (const { host } of breaks)
        if (host !== undefined && bare.has(host)) unled(`${draft.container.name}/${nameOf(env)}`, host);
  }
  for (const { where, hosts, srv } of heldElsewhere(pod, known, (host) => ports.has(host), work)) {
    for (const host of hosts) if (bare.has(host)) unled(where, host);
    if (srv.length > 0) warnings.add(noteText(where, { kind: "left", why: "srv" }, srv, []));
  }
  const isTooMuch = isSpent(work) || [...unread].join("").length > MOST_NAMES_TEXT;
  return isTooMuch ? tooMuch() : { kind: "aliased", unread: [...unread], warnings: [...warnings] };
};
