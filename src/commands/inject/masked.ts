/** Masks env values for output. A password is never shown; a value that may be one is masked. */
import jsonpatch from "fast-json-patch";
import type { EnvChange } from "../../core/admission.ts";
import type { PatchOperation } from "../../core/patch.ts";
import type { Container, EnvVar, Pod } from "../../core/pod.ts";

const SECRET =
  "[\\w.-]*(?:passw|pwd|passphrase|secret|token|credential|signature|sig|(?:api|access|account|private|shared)[_-]?key)[\\w.-]*";
/** Ends a value: what separates pairs in URLs, connection strings, JSON and options, before another pair. */
const END = String.raw`(?=[;&\n}<]|\s+-{0,2}["']?[\w.-]+["']?\s*[=:]|\s+--?\w|,\s*["']?[\w.-]+["']?\s*[=:]|$)`;
const PAIR = new RegExp(String.raw`(\b${SECRET}["']?\s*(?:[=:>]|\s)\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^]+?${END})`, "gi");

const RULES: readonly (readonly [RegExp, string])[] = [
  [PAIR, "$1***"],
  // user:password@ and a lone token before the host of a URL
  [/(:\/\/)[^/?#\s]*@/g, "$1***@"],
  // … with a slash in the password: what stands behind the colon is no port
  [/(:\/\/)[^:/?#\s@]*:(?!\d+[/?#\s,])[^\s"'@]*@/g, "$1***@"],
  // user:password@tcp(host), user/password@host
  [/(^|[\s"'=:])[^\s"'=:/@]+[:/](?!\/)[^\s"'/@?=&]+@/g, "$1***@"],
];

/** Longer ones are documents, and the patterns take long to look through them. */
const MAX_SHOWN = 2000;

/** A value with its user names, passwords and keys as `***`. */
export const masked = (value: string): string =>
  value.length > MAX_SHOWN ? "(a long value)" : RULES.reduce((text, [pattern, by]) => text.replace(pattern, by), value);

const IS_SECRET = new RegExp(SECRET, "i");
/** An env's value by the env's name. */
const shown = (env: EnvVar | undefined): string => {
  if (env === undefined) return "(absent)";
  if (env.valueFrom !== undefined && env.valueFrom !== null) return "(from elsewhere)";
  return IS_SECRET.test(env.name) ? "***" : masked(env.value ?? "");
};

export type EnvDiff = EnvChange & { readonly before: string; readonly after: string };

/** The changed env with their masked values before and after the patch. */
export const envDiff = (
  before: Pod,
  operations: readonly PatchOperation[],
  changed: readonly EnvChange[],
): readonly EnvDiff[] => {
  const after = jsonpatch.applyPatch(
    structuredClone(before),
    structuredClone(operations) as PatchOperation[],
  ).newDocument;
  return changed.map((change) => ({
    ...change,
    before: shown(envOf(before, change)),
    after: shown(envOf(after, change)),
  }));
};

/** Of an env that stands twice the last one counts. */
const envOf = ({ spec }: Pod, { container, env }: EnvChange): EnvVar | undefined =>
  [...spec.containers, ...(spec.initContainers ?? [])]
    .find(({ name }: Container) => name === container)
    ?.env?.findLast(({ name }) => name === env);
