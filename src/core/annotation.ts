import * as z from "zod";
import { readEntries } from "./annotation-text.ts";
import { forbiddenHost, readHost } from "./host.ts";
import type { Rejection } from "./reasons.ts";
import { SELDOM, dnsLabel, issueTexts, oneOf, port, quote, strict } from "./schema.ts";
import { isRepeated } from "./repeats.ts";
import type { Target } from "./target.ts";
import { annotation, freeName } from "./names.ts";

/**
 * More would be no hand-written annotation any more: each target costs a label of the pod and a rule of the
 * NetworkPolicy.
 */
const MAX_TARGETS = 128;
/** Enough for all of them; a parser fed with more of nothing but brackets would hold everybody up. */
export const LONGEST_ANNOTATION = 16 * 1024;

const host = z
  .string({
    error: ({ input }) =>
      input === undefined
        ? "is missing: a host name or an IP address"
        : `${quote(input)} is not a text: put it in quotes`,
  })
  .transform((text, context) => {
    const reading = readHost(text);
    if (reading.kind !== "invalid") return reading.host;
    context.addIssue(`${quote(text)}: ${reading.why}`);
    return z.NEVER;
  });

const alias = host.superRefine((name, context) => {
  const why = readHost(name).kind === "name" ? forbiddenHost(name) : `${name} is an address: an alias is a DNS name`;
  if (why !== undefined) context.addIssue(why);
});

/** The portable names of POSIX: what every shell and every Kubernetes version takes. */
const envName = z
  .string({ error: "not the name of an env" })
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, { error: (issue) => `${quote(issue.input)} is not the name of an env` });
const envNames = z.union([envName.transform((name) => [name]), z.array(envName).max(16)], {
  error: "not the name of an env, nor a list of names",
});

const entry = strict(
  {
    name: dnsLabel
      .optional()
      .describe("names the forward and the env that are added; default: made from host and port"),
    targetHost: host.describe("the private server: IPv4, IPv6 or DNS name"),
    targetPort: port.describe("its port"),
    tunnel: z
      .string({ error: "not the name of a tunnel" })
      .optional()
      .describe("needed when several tunnels may carry the target"),
    hostEnv: envNames.default([]).describe("env to set to the Service's DNS name"),
    portEnv: envNames.default([]).describe("env to set to the target's port"),
    aliases: z
      .array(alias, { error: "not a list of DNS names" })
      .max(16)
      .default([])
      .describe("DNS names by which the pod dials the server; each must match the tunnel's allowedAliases"),
    redirect: oneOf("env", "hostAlias", "auto")
      .optional()
      .describe(
        "env: the pod's env are rewritten; hostAlias: hostAliases map the host's name to a Service of its own; " +
          "auto: hostAlias for a host name or a target with aliases, unless hostEnv names an env; default: the config's redirect",
      ),
  },
  {
    servicePort: "every target keeps its own port: remove it",
    port: "did you mean targetPort?",
    host: "did you mean targetHost?",
  },
);
/** The long form of the annotation. */
export const entries = z
  .array(entry, { error: "not a list of targets: begin each entry with `- `, or put all in [ ]" })
  .min(1, "names no target: write name=host:port");

type TargetEntry = z.infer<typeof entry>;

/** `target-10-0-0-5-1433`: a DNS label, and upper-cased the beginning of an env's name, which must not be a digit. */
const derivedName = (entry: TargetEntry): string =>
  `target-${entry.targetHost
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 48)
    .replace(/^-+|-+$/g, "")}-${entry.targetPort}`;

type NamedEntry = TargetEntry & { readonly name: string };

/** A name that is made from host and port must not collide with another: the user wrote neither. */
const withDistinctNames = (list: readonly TargetEntry[]): readonly NamedEntry[] => {
  const taken = new Set(list.map(({ name }) => name));
  return list.map((entry) => {
    if (entry.name !== undefined) return { ...entry, name: entry.name };
    const name = freeName(derivedName(entry), taken);
    taken.add(name);
    return { ...entry, name };
  });
};

const toTarget = (entry: NamedEntry): Target => {
  const { name, targetHost: host, targetPort: port, tunnel, redirect, ...lists } = entry;
  return { name, host, port, ...lists, ...(tunnel && { tunnel }), ...(redirect && { redirect }) };
};

/**
 * The details say what to do already: the code's own sentence would add nothing. Values are hidden when the annotation
 * looks as if credentials had been pasted into it.
 */
const invalid = (details: readonly string[], text = ""): Rejection => {
  const message = details.join("; ");
  const hidden = /@|:\/\/|passw|pwd|secret|token/i.test(text)
    ? message.replace(/"[^"]*"?/g, "(hidden)").replace(/; did you mean [^;]*\?/g, "")
    : message;
  return { kind: "reject", reason: "annotation-invalid", message: hidden };
};

/**
 * Env by which a pod finds the API server: another value would cut it off. A target's name makes `<NAME>_HOST` and
 * `<NAME>_PORT`.
 */
const reservedEnv = (targets: readonly Target[]): readonly string[] =>
  targets.flatMap(({ name, hostEnv, portEnv }, index) => {
    const made = name.toUpperCase().replaceAll("-", "_");
    const reserved = [`${made}_HOST`, `${made}_PORT`, ...hostEnv, ...portEnv].find((env) =>
      /^KUBERNETES_(SERVICE|PORT)/.test(env),
    );
    const why = "by this env a pod finds the API server: take another name";
    return reserved === undefined ? [] : [`${annotation.targets}[${index}]: ${reserved}: ${why}`];
  });

const repeatedNames = (targets: readonly Target[]): string[] =>
  targets.flatMap((target, index) => {
    const first = targets.findIndex(
      (other) =>
        other.name === target.name ||
        (other.host === target.host && other.port === target.port && other.tunnel === target.tunnel),
    );
    if (first === index) return [];
    const what = targets[first]?.name === target.name ? `the name ${target.name}` : "the target";
    return [`${annotation.targets}[${index}]: ${what} stands in [${first}] already`];
  });

/** An env has one value: two targets may name it where both give it the same. Almost no annotation names one twice. */
const contradictions = (targets: readonly Target[]): string[] => {
  if (!isRepeated(targets.flatMap(({ hostEnv, portEnv }) => [...hostEnv, ...portEnv]))) return [];
  const named = new Map<string, { readonly at: string; readonly value: string }>();
  const faults: string[] = [];
  const note = (env: string, at: string, value: string): void => {
    const first = named.get(env);
    if (first === undefined) named.set(env, { at, value });
    else if (first.value !== value)
      faults.push(`${annotation.targets}${at}: ${env} stands in ${first.at} already, with another value`);
  };
  for (const [index, { host, port, hostEnv, portEnv }] of targets.entries()) {
    for (const env of hostEnv) note(env, `[${index}].hostEnv`, host);
    for (const env of portEnv) note(env, `[${index}].portEnv`, String(port));
  }
  return faults;
};

/** `hostAliases` map names: an address without aliases has none. */
const namelessAliases = (targets: readonly Target[]): string[] =>
  targets.flatMap(({ host, aliases, redirect }, index) =>
    redirect === "hostAlias" && aliases.length === 0 && readHost(host).kind !== "name"
      ? [
          `${annotation.targets}[${index}].redirect: ${host} is an address without a name: add aliases, or write redirect: env`,
        ]
      : [],
  );

/**
 * Reads `flowgen.io/private-targets`: a short list (`mssql=10.0.0.5:1433, 10.0.0.6:5432`), or a YAML or JSON list of
 * entries. All or nothing: one bad entry refuses the annotation, and the message names every bad field (at most ten).
 */
export const readTargets = (
  text: string,
): { readonly kind: "targets"; readonly targets: readonly Target[] } | Rejection => {
  if (text.length > LONGEST_ANNOTATION)
    return invalid([`${annotation.targets}: ${text.length} characters, at most ${LONGEST_ANNOTATION} are read`]);
  const trimmed = text.trim();
  const read = readEntries(trimmed);
  if (read.kind === "unreadable") return invalid([`${annotation.targets}${read.why}`], trimmed);
  if (Array.isArray(read.raw) && read.raw.length > MAX_TARGETS) {
    return invalid([`${annotation.targets}: ${read.raw.length} entries, at most ${MAX_TARGETS} are taken`]);
  }
  const parsed = entries.safeParse(read.raw, SELDOM);
  if (!parsed.success) return invalid(issueTexts(annotation.targets, parsed.error), trimmed);
  const targets = withDistinctNames(parsed.data).map(toTarget);
  const faults = [repeatedNames, namelessAliases, reservedEnv, contradictions].flatMap((find) => find(targets));
  return faults.length > 0 ? invalid(faults.slice(0, 10)) : { kind: "targets", targets };
};
