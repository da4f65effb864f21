import { parse } from "yaml";
import { z } from "zod";
import { type AllowedTarget, readAllowedTarget } from "./allowed.ts";
import { forbiddenHost, readHost } from "./host.ts";
import { dnsLabel, issueTexts, oneOf, port, quote, strict, tunnelName } from "./schema.ts";

/** What Kubernetes checks itself (resources, affinity, …) passes as it is. */
const passed = z.record(z.string(), z.unknown(), { error: "not a map of keys and values" });
const passedList = z.array(passed, { error: "not a list of maps" });
const text = z.string({ error: "not a text" }).min(1, "is empty");
const namespaceName = text.regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, {
  error: (issue) => `${quote(issue.input)} is not the name of a namespace`,
});

const canonicalHost = text.transform((value, context) => {
  const reading = readHost(value);
  const problem = reading.kind === "invalid" ? reading.why : forbiddenHost(reading.host);
  if (reading.kind !== "invalid" && problem === undefined) return reading.host;
  context.addIssue(`${quote(value)}: ${problem}`);
  return z.NEVER;
});

const allowedTarget = text.transform((value, context): AllowedTarget => {
  const read = readAllowedTarget(value);
  if (typeof read !== "string") return read;
  context.addIssue(`${quote(value)}: ${read}`);
  return z.NEVER;
});

const DURATION_UNITS = { s: 1, m: 60, h: 3600, d: 86400 } as const;
/** `30s`, `15m`, `24h`, `7d`; read as seconds. */
const duration = text.transform((value, context) => {
  const match = /^([1-9]\d{0,6})([smhd])$/.exec(value);
  if (match !== null) return Number(match[1]) * DURATION_UNITS[match[2] as keyof typeof DURATION_UNITS];
  context.addIssue(`${quote(value)} is not a duration such as 30m, 24h or 7d`);
  return z.NEVER;
});

const portForward = strict({
  name: dnsLabel.describe("names the forward and the Service's port"),
  port: port.describe("the port that the gateway's pod listens on"),
  targetHost: canonicalHost.describe("the private server: IPv4, IPv6 or DNS name"),
  targetPort: port.describe("its port"),
  servicePort: port.optional().describe("the Service's port; default: `port`"),
});

const tunnel = strict({
  name: tunnelName.describe("of the interface; the Secret's key is this name and `.conf`"),
  secretName: text
    .regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, {
      error: (issue) => `${quote(issue.input)} is not the name of a Secret`,
    })
    .describe("the Secret with the tunnel's WireGuard config, in the gateway's namespace"),
  allowedTargets: z
    .array(allowedTarget, { error: "not a list" })
    .default([])
    .describe(
      "CIDRs, addresses, names and *.suffixes, each with an optional :port; what is not listed is refused; default: nothing",
    ),
  namespaces: z
    .array(namespaceName, { error: "not a list of namespaces" })
    .min(1, "names nobody: leave it out for every namespace")
    .optional()
    .describe("whose pods may use the tunnel; absent: every namespace's"),
  portForwards: z
    .array(portForward, { error: "not a list" })
    .nullish()
    .transform((value) => value ?? [])
    .describe("static forwards, there from the start and open to every flowgen pod of the tunnel's namespaces"),
});

const image = strict({
  repository: text.default("ghcr.io/linuxserver/wireguard").describe("used for its tools: wg, ip, iptables"),
  tag: text.default("1.0.20250521-r1-ls105").describe("its version"),
  pullPolicy: oneOf("IfNotPresent", "Always", "Never").default("IfNotPresent").describe("of the pod's images"),
});

/**
 * The chart's own limits end near 400 connections (socat's 32Mi) and throttle a shared gateway: socat (50m), and wireguard-go with
 * the probes (200m), whose pauses are everybody's. So no CPU limit by default, and 256Mi.
 */
const SOCAT_RESOURCES = { limits: { memory: "256Mi" }, requests: { cpu: "10m", memory: "16Mi" } };
const socat = strict({
  image: text.default("alpine/socat:1.8.0.1").describe("whole, with its tag; used for socat"),
  resources: passed.default(SOCAT_RESOURCES).describe("of the container that forwards; a connection takes some 75 kB"),
});

const WIREGUARD_RESOURCES = { limits: { memory: "256Mi" }, requests: { cpu: "50m", memory: "64Mi" } };
const WIREGUARD_SECURITY = {
  runAsUser: 0,
  runAsNonRoot: false,
  capabilities: { add: ["NET_ADMIN"] },
  privileged: false,
};
const WIREGUARD_ENV = [
  { name: "LOG_CONFS", value: "false" },
  { name: "WIREGUARD_IMPLEMENTATION", value: "wireguard-go" },
];

export const DEFAULT_GATEWAY = "flowgen-wireguard-gateway";

/** The flowgen chart's `wireguardGateway` block, with its names and defaults, and what a shared gateway needs besides. */
const gateway = strict({
  name: dnsLabel.default(DEFAULT_GATEWAY).describe("names the Deployment and the Service"),
  namespace: namespaceName.optional().describe("absent: one gateway in each pod's own namespace"),
  enabled: z.boolean({ error: "neither true nor false" }).default(true).describe("false: no pod gets this gateway"),
  tunnels: z
    .array(tunnel, { error: "not a list of tunnels" })
    .min(1, "names no tunnel")
    .describe("WireGuard identities, each of this gateway's pod alone"),
  image: image.prefault({}).describe("of the container that holds the tunnels"),
  imagePullSecrets: passedList.default([]).describe("of the gateway's pod, as Kubernetes writes them"),
  socat: socat.prefault({}).describe("the container that forwards"),
  forwarder: oneOf("auto", "socat", "kernel")
    .default("auto")
    .describe(
      "who carries connections: socat, or the kernel where it can (IP addresses) and socat the rest; auto is socat",
    ),
  env: z
    .array(z.looseObject({ name: text.describe("of the env; value and valueFrom as Kubernetes writes them") }), {
      error: "not a list of env",
    })
    .default(WIREGUARD_ENV)
    .describe("of the container that holds the tunnels; default: what the flowgen chart sets"),
  resources: passed.default(WIREGUARD_RESOURCES).describe("of the container that holds the tunnels"),
  securityContext: passed
    .default(WIREGUARD_SECURITY)
    .describe("of the container that holds the tunnels; it needs NET_ADMIN"),
  nodeSelector: passed.default({}).describe("of the gateway's pod"),
  tolerations: passedList.default([]).describe("of the gateway's pod"),
  affinity: passed.default({}).describe("of the gateway's pod"),
  retain: duration
    .default(24 * 3600)
    .describe(
      "how long a forward that nothing uses is kept, such as 30m or 7d; default: 24h. Checked, but this version removes none",
    ),
  maxForwards: z
    .int({ error: (issue) => `${quote(issue.input)} is not a number of forwards (1-3000)` })
    .min(1)
    .max(3000)
    .default(500)
    .describe("who would need one more is refused"),
}).superRefine((value, context) => {
  repeated(value.tunnels.map((item) => item.name)).forEach(([index, first, name]) =>
    context.addIssue({
      code: "custom",
      path: ["tunnels", index, "name"],
      message: `${quote(name)} is the name of tunnels[${first}] already`,
    }),
  );
  repeated(value.env.map((item) => item.name)).forEach(([index, first, name]) =>
    context.addIssue({
      code: "custom",
      path: ["env", index, "name"],
      message: `${quote(name)} is the name of env[${first}] already`,
    }),
  );
  clashes(value.tunnels).forEach(([path, message]) => context.addIssue({ code: "custom", path, message }));
});

const repeated = (names: readonly string[]): [index: number, first: number, name: string][] =>
  names.flatMap((name, index) => (names.indexOf(name) < index ? [[index, names.indexOf(name), name]] : []));

/** Static forwards of one gateway that cannot all be had: they share the pod's ports, the Service's ports and its port names. */
const clashes = (tunnels: readonly z.infer<typeof tunnel>[]): [path: PropertyKey[], message: string][] => {
  const all = tunnels.flatMap((item, t) =>
    item.portForwards.map((forward, f) => ({ ...forward, tunnel: item.name, at: ["tunnels", t, "portForwards", f] })),
  );
  const keys: Record<string, (forward: (typeof all)[number]) => string> = {
    name: (forward) => forward.name,
    port: (forward) => String(forward.port),
    servicePort: (forward) => String(forward.servicePort ?? forward.port),
    targetHost: (forward) => `${forward.tunnel} ${forward.targetHost} ${forward.targetPort}`,
  };
  return Object.entries(keys).flatMap(([field, key]) =>
    all.flatMap((forward, index): [PropertyKey[], string][] => {
      const other = all.slice(0, index).find((earlier) => key(earlier) === key(forward));
      if (other === undefined) return [];
      return [
        [
          [...forward.at, field],
          `${quote(key(forward))} is taken by the forward ${quote(`${other.tunnel} ${other.name}`)}`,
        ],
      ];
    }),
  );
};

/** What an admin writes. */
export const config = strict({
  mode: oneOf("enforce", "audit").default("enforce").describe("audit: say what would be done, do nothing"),
  podSelector: strict({
    matchLabels: z.record(z.string(), z.string()).describe("labels that a pod must have, all of them"),
  })
    .default({ matchLabels: { "app.kubernetes.io/name": "flowgen" } })
    .describe("what a flowgen pod is; others are let through unchanged. Default: app.kubernetes.io/name: flowgen"),
  defaultGateway: dnsLabel.default(DEFAULT_GATEWAY).describe("of pods without the annotation flowgen.io/gateway"),
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
  if (!names.includes(value.defaultGateway)) {
    const message = `${quote(value.defaultGateway)} is none of the gateways: ${names.join(", ")}`;
    context.addIssue({ code: "custom", path: ["defaultGateway"], message });
  }
});

export type Config = z.infer<typeof config>;
export type Gateway = Config["gateways"][number];
export type Tunnel = Gateway["tunnels"][number];
export type Mode = Config["mode"] | "disabled";
/** A gateway where it runs: the namespace is the config's, or else the pod's own. */
export type PlacedGateway = Gateway & {
  readonly namespace: string;
  /** The config names no namespace: there is one such gateway in each, for the pods of that namespace alone. */
  readonly isPerNamespace: boolean;
};

export type ConfigReading =
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

/** Reads the admin's config from YAML or JSON. Every problem is named by its path, with the reason and the nearest valid form. */
export const readConfig = (yaml: string): ConfigReading => {
  const raw = parseYaml(yaml);
  if (raw.kind === "invalid") return raw;
  const parsed = config.safeParse(raw.value);
  if (!parsed.success) return { kind: "invalid", problems: issueTexts("", parsed.error) };
  return { kind: "config", config: parsed.data };
};

const parseYaml = (
  yaml: string,
): { readonly kind: "yaml"; readonly value: unknown } | (ConfigReading & { kind: "invalid" }) => {
  try {
    return { kind: "yaml", value: parse(yaml, { prettyErrors: false }) as unknown };
  } catch (error) {
    // Syntax, an alias of nothing, a bomb of aliases, a second document.
    return { kind: "invalid", problems: [`not a YAML document: ${String(error).replace(/\n.*/s, "")}`] };
  }
};
