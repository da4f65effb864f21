/**
 * Keys and values that resemble those that the webhook reads. They are named at `kubectl apply` and by the commands,
 * not at the admission of a pod.
 */
import { closest, distance } from "fastest-levenshtein";
import { readTargets } from "./annotation.ts";
import { isWord } from "./env/known.ts";
import { charge, type Work, workOf } from "./env/work.ts";
import { listed, plain } from "./message.ts";
import { annotation, GATEWAY_LABEL, MANAGED_BY, MANAGER } from "./names.ts";
import { isGatewayPod } from "./plan.ts";
import type { Pod } from "./pod.ts";
import type { Target } from "./target.ts";

type Marks = {
  readonly labels?: Readonly<Record<string, string>> | null | undefined;
  readonly annotations?: Readonly<Record<string, string>> | null | undefined;
};

const PREFIX = "flowgen.io/";
const KNOWN: readonly string[] = Object.values(annotation);
const LONGEST_KEY = 80;

/** A key has 317 characters at most in Kubernetes, and workloads have far fewer keys than this. */
const MOST_KEYS = 200;
const LONGEST_READ = 317;
const keysOf = (map: Readonly<Record<string, string>> | null | undefined): readonly string[] =>
  Object.keys(map ?? {})
    .slice(0, MOST_KEYS)
    .filter(({ length }) => length <= LONGEST_READ);

/** The letters and digits behind the prefix: equal for one key in two spellings. */
const bare = (key: string): string =>
  key
    .slice(key.lastIndexOf("/") + 1)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "");
const BARE_TARGETS = bare(annotation.targets);

/** A key of another tool, spelled almost as the key that asks for targets. */
const isAlmostTargets = (key: string): boolean => distance(bare(key), BARE_TARGETS) <= 2;

/** The known key that an unknown one is nearest to, by its bare spelling; none where nothing is near. */
const nearestKey = (key: string): string | undefined => {
  const own = bare(key);
  const nearest = closest(own, KNOWN.map(bare));
  const isNear = distance(own, nearest) <= Math.max(2, Math.floor(nearest.length / 3));
  return isNear ? KNOWN.find((known) => bare(known) === nearest) : undefined;
};

const unknownKeys = (annotations: Marks["annotations"]): readonly string[] =>
  keysOf(annotations).flatMap((key) => {
    if (KNOWN.includes(key)) return [];
    if (!key.startsWith(PREFIX)) return isAlmostTargets(key) ? [miss(key, annotation.targets)] : [];
    return [miss(key, nearestKey(key))];
  });

const miss = (key: string, nearest: string | undefined): string =>
  `${plain(key, LONGEST_KEY)} is not read` + (nearest === undefined ? "" : `: did you mean ${nearest}?`);

/** Keys that are right and stand in the wrong place. `where`: what the marks belong to. */
const labelKeys = (labels: Marks["labels"]): readonly string[] =>
  keysOf(labels)
    .filter((key) => (key.startsWith(PREFIX) && key !== GATEWAY_LABEL) || isAlmostTargets(key))
    .map(
      (key) => `${plain(key, LONGEST_KEY)} is a label and is not read: write it as an annotation of the pod template`,
    );

const ofWorkload = ({ annotations, labels }: Marks, pod: Pod): readonly string[] => {
  const own = pod.metadata.annotations ?? {};
  const misplaced = keysOf(annotations).filter((key) => KNOWN.includes(key) && own[key] === undefined);
  return [
    ...misplaced.map((key) => `${key} stands on the workload: put it on spec.template.metadata.annotations`),
    ...unknownKeys(annotations),
    ...labelKeys(labels),
  ];
};

/** A hostEnv that no container has, beside an env that holds the target's host. */
const hostEnvs = (pod: Pod): readonly string[] => {
  const text = pod.metadata.annotations?.[annotation.targets];
  const read = text === undefined ? undefined : readTargets(text);
  if (read?.kind !== "targets") return [];
  const env = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].flatMap((container) => container.env ?? []);
  const names = new Set(env.map(({ name }) => name));
  const work = workOf();
  return read.targets.flatMap((target) => {
    const missing = target.hostEnv.filter((name) => !names.has(name));
    if (missing.length === 0) return [];
    const holders = env.filter(({ value = "" }) => holds(value, target, work)).map(({ name }) => name);
    if (holders.length === 0) return [];
    const said = `${listed([...new Set(holders)], 3)} holds ${target.host}: did you mean it?`;
    return missing.map((name) => `${target.name}: no container has the env ${name}, and ${said}`);
  });
};

const holds = (value: string, { host }: Target, work: Work): boolean => {
  if (!charge(work, value.length + 300)) return false;
  const start = value.toLowerCase().indexOf(host);
  return start >= 0 && isWord(value, { start, end: start + host.length });
};

/**
 * Near misses of a pod, or of a pod template and the workload that it stands in; one sentence each. A gateway's own
 * carries other keys.
 */
export const nearMisses = (pod: Pod, workload?: Marks): readonly string[] =>
  workload?.labels?.[MANAGED_BY] === MANAGER || isGatewayPod(pod.metadata.labels ?? {})
    ? []
    : [
        ...new Set([
          ...unknownKeys(pod.metadata.annotations),
          ...labelKeys(pod.metadata.labels),
          ...(workload === undefined ? [] : ofWorkload(workload, pod)),
          ...hostEnvs(pod),
        ]),
      ];
