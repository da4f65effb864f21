import { annotation } from "../names.ts";
import { type ContainerReading, readContainer, type Readings, srvEnv } from "./container.ts";
import { type ContainerDraft, containerDrafts, rulesOf, type Setup, settingsOf } from "./draft.ts";
import { envFor } from "./fallback.ts";
import { knownHosts } from "./known.ts";
import { hasReference } from "./reference.ts";
import { aliasesOf } from "./routes.ts";
import { verdictOf } from "./verdict.ts";
import { isSpent, workOf } from "./work.ts";
import { perObject } from "../memo.ts";
import type { EnvVar, Pod } from "../pod.ts";
import { reject, type Rejection } from "../reasons.ts";
import { isRepeated } from "../repeats.ts";
import type { Target } from "../target.ts";

/** Where a pod's hosts stand, before anything is provisioned. */
export type PodHosts = {
  readonly kind: "hosts";
  /**
   * Hosts of targets that need a Service of their own. A port beside them is not read, or is no target's, or one env is
   * named for several of their ports.
   */
  readonly needOwnService: ReadonlySet<string>;
  /** Of the containers that were read as they stand, and that the redirect may read in the same way. */
  readonly readings: Readings;
};

/** The env that the pod's annotation `keep-env` excludes from the redirect. */
export const keptEnv = ({ metadata }: Pod): ReadonlySet<string> =>
  new Set((metadata.annotations?.[annotation.keepEnv] ?? "").split(/[\s,]+/).filter((name) => name !== ""));

export const srvRejection = ({ field, container }: ContainerDraft, env: string): Rejection =>
  reject("srv-url", `spec.${field}[${container.name}].env[${env}]`);

export const tooMuch = (): Rejection => reject("work-too-much", "spec.containers");

/** Hosts of which several targets name one env: all of their ports have to be at one Service. */
const sharedHosts = (targets: readonly Target[]): readonly string[] => {
  if (!isRepeated(targets.flatMap(({ hostEnv }) => hostEnv))) return [];
  const named = new Set<string>();
  const shared = new Set<string>();
  for (const { hostEnv } of targets) for (const env of new Set(hostEnv)) (named.has(env) ? shared : named).add(env);
  return targets.filter(({ hostEnv }) => hostEnv.some((env) => shared.has(env))).map(({ host }) => host);
};

/** The effect of targets on the env of any pod. */
const meaningOf = perObject((targets: readonly Target[]) => {
  const reached = targets.map((target) => ({ target, host: target.host }));
  const ports = new Map<string, Set<number>>();
  for (const { host, port } of targets) ports.set(host, (ports.get(host) ?? new Set<number>()).add(port));
  return { reached, settings: settingsOf(reached), ports, known: knownHosts(ports), shared: sharedHosts(targets) };
});

/** The env that the redirect may add: another env may refer to it already. */
const withFallback = (env: readonly EnvVar[], { reached }: Setup): readonly EnvVar[] => {
  if (!env.some(({ value }) => hasReference(value))) return env;
  const names = new Set(env.map(({ name }) => name));
  return [...reached.flatMap(envFor).filter(({ name }) => !names.has(name)), ...env];
};

/**
 * Reads a pod for its targets of the redirect env, before anything is provisioned: which hosts need a Service of their
 * own. A pod that cannot be redirected is refused here, so that it leaves no forward behind.
 */
export const readPodHosts = (pod: Pod, targets: readonly Target[], work = workOf()): PodHosts | Rejection => {
  const { ports, known: bare, shared, ...meant } = meaningOf(targets);
  const setup = { ...meant, keeps: keptEnv(pod) };
  const drafts = containerDrafts(pod, setup, work);
  if (drafts === undefined) return tooMuch();
  const aliases = aliasesOf(pod, (host) => ports.has(host));
  const known = aliases.size === 0 ? bare : knownHosts(ports, aliases);
  const rules = rulesOf(setup);
  const needOwnService = new Set(shared);
  const readings = new Map<readonly EnvVar[], ContainerReading>();
  for (const draft of drafts) {
    const env = withFallback(draft.env, setup);
    const reading = readContainer(env, known, rules, work);
    if (env === draft.container.env && aliases.size === 0) readings.set(env, reading);
    const srv = srvEnv(reading, env);
    if (srv !== undefined) return srvRejection(draft, srv);
    for (const held of reading.held) {
      const verdict = verdictOf(held, ports.get(held.host) as ReadonlySet<number>);
      if (verdict.kind === "replace" && verdict.needsOwnService) needOwnService.add(held.host);
    }
  }
  return isSpent(work) ? tooMuch() : { kind: "hosts", needOwnService, readings };
};
