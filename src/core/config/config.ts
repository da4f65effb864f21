import { parse, YAMLParseError } from "yaml";
import * as z from "zod";
import { repeated } from "../repeats.ts";
import { identityClashes } from "./identity.ts";
import { siblingClashes } from "./siblings.ts";
import { labels, objectName, text } from "./values.ts";
import { DEFAULT_GATEWAY, gateway } from "./gateway.ts";
import { messageOf } from "../message.ts";
import { SELDOM, dnsLabel, issueTexts, oneOf, quote, strict } from "../schema.ts";

/** The config as an admin writes it. */
export const config = strict({
  mode: oneOf("enforce", "audit").default("enforce").describe("audit: say what would be done, do nothing"),
  revision: z
    .int({ error: (issue) => `${quote(issue.input)} is not a revision: a whole number, from 1 up` })
    .min(1, { error: (issue) => `${quote(issue.input)} is not a revision: a whole number, from 1 up` })
    .default(1)
    .describe("of this config: of two at work at once the higher one makes the gateways (docs/operations.md)"),
  podSelector: strict({
    matchLabels: labels.describe("labels that a pod must have, all of them"),
  })
    .optional()
    .describe(
      "what a flowgen pod is; others are let through unchanged. Default: app.kubernetes.io/name: flowgen, or app: flowgen (which the chart's nameOverride leaves)",
    ),
  redirect: oneOf("env", "auto")
    .default("env")
    .describe(
      "of targets that name none. env: the pod's env are rewritten; auto: hostAlias for a host name or a target with aliases",
    ),
  contact: text
    .max(200, "longer than 200 characters")
    .optional()
    .describe("whom a user asks who is refused, such as a channel or an address; messages name it"),
  defaultGateway: dnsLabel
    .optional()
    .describe(`of pods without the annotation flowgen.io/gateway; default: the only gateway, else ${DEFAULT_GATEWAY}`),
  clusterDomain: objectName
    .optional()
    .describe(
      "of the cluster, such as cluster.local: the names that pods get end in .svc.cluster.local then, and resolve without the search list; default: they end in .svc",
    ),
  gateways: z
    .array(gateway, { error: "is missing: a list of gateways" })
    .min(1, "names no gateway")
    .describe("each as the flowgen chart's `wireguardGateway` block, and who may reach what"),
}).superRefine((value, context) => {
  const names = value.gateways.map((item) => item.name);
  repeated(names).forEach(([index, first, name]) =>
    context.addIssue({
      code: "custom",
      path: ["gateways", index, "name"],
      message: `${quote(name)} is the name of gateways[${first}] already`,
    }),
  );
  [...identityClashes(value.gateways), ...siblingClashes(value.gateways)].forEach(([path, message]) =>
    context.addIssue({ code: "custom", path, message }),
  );
  const wanted = defaultOf(value.defaultGateway, names);
  // That there is no gateway is said already.
  if (names.length > 0 && !names.includes(wanted)) {
    const message = `${quote(wanted)} is none of the gateways: ${names.join(", ")}`;
    context.addIssue({ code: "custom", path: ["defaultGateway"], message });
  }
});

const defaultOf = (named: string | undefined, names: readonly string[]): string => {
  const [only, ...others] = names;
  return named ?? (only !== undefined && others.length === 0 ? only : DEFAULT_GATEWAY);
};

type Parsed = z.infer<typeof config>;
export type Config = Parsed & { readonly defaultGateway: string };
export type Gateway = Config["gateways"][number];
export type Tunnel = Gateway["tunnels"][number];
export type Mode = Config["mode"] | "disabled";
/** A gateway where it runs: the namespace is the config's, or else the pod's own. */
export type PlacedGateway = Gateway & {
  readonly namespace: string;
  /** The config names no namespace: there is one such gateway in each, for the pods of that namespace alone. */
  readonly isPerNamespace: boolean;
  readonly clusterDomain?: string | undefined;
};

export type ConfigReading =
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

/**
 * Reads the admin's config from YAML or JSON. Every problem is named by its path, with the reason and the nearest valid
 * form.
 */
export const readConfig = (yaml: string): ConfigReading => {
  const raw = parseYaml(yaml);
  if (raw.kind === "invalid") return raw;
  const parsed = config.safeParse(raw.value, SELDOM);
  if (!parsed.success) return { kind: "invalid", problems: issueTexts("", parsed.error) };
  const { data } = parsed;
  const defaultGateway = defaultOf(
    data.defaultGateway,
    data.gateways.map(({ name }) => name),
  );
  return { kind: "config", config: { ...data, defaultGateway } };
};

const parseYaml = (
  yaml: string,
): { readonly kind: "yaml"; readonly value: unknown } | (ConfigReading & { kind: "invalid" }) => {
  try {
    return { kind: "yaml", value: parse(yaml, { prettyErrors: false }) as unknown };
  } catch (error) {
    // Syntax, an alias of nothing, a bomb of aliases, a second document.
    const why = messageOf(error).replace(/\n.*/s, "");
    const at = error instanceof YAMLParseError ? `line ${yaml.slice(0, error.pos[0]).split("\n").length}: ` : "";
    return { kind: "invalid", problems: [`${at}not a YAML document: ${why}`] };
  }
};
