/** One gateway of the config, with its defaults. */
import { z } from "zod";
import { LONGEST_GATEWAY_NAME } from "../names.ts";
import { clashes, repeated } from "./clashes.ts";
import { allowedAlias, allowedTarget, hostField, duration, namespaceName, passed, passedList, text } from "./values.ts";
import { FIRST_LISTEN_PORT, READY_PORT } from "../forwards/table.ts";
import { dnsLabel, oneOf, port, quote, strict, tunnelName } from "../schema.ts";

const portForward = strict({
  name: dnsLabel.describe("names the forward and the Service's port"),
  port: port
    .refine((value) => value >= FIRST_LISTEN_PORT && value < READY_PORT, {
      error: (issue) =>
        `${quote(issue.input)}: the gateway's pod listens on ${FIRST_LISTEN_PORT}-${READY_PORT - 1}; write such a port, and ` +
        "the Service's port as servicePort",
    })
    .describe("the port that the gateway's pod listens on"),
  targetHost: hostField.describe("the private server: IPv4, IPv6 or DNS name"),
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
  allowedAliases: z
    .array(allowedAlias, { error: "not a list" })
    .default([])
    .describe("names and *.suffixes that pods may have led to this tunnel's targets (`aliases`); default: none"),
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

/** What the gateway's manifests set themselves (gateway-pod.ts), each with what to do instead. */
const OWN_ENV: ReadonlyMap<string, string> = new Map([
  ["FORWARDER", "write `forwarder:` instead"],
  ["DRAIN", "remove it: a pod that ends must give its identity up before the next one speaks"],
  ["LINGER", "remove it: it belongs to the other container"],
]);

export const DEFAULT_GATEWAY = "flowgen-wireguard-gateway";

/** The flowgen chart's `wireguardGateway` block, with its names and defaults, and what a shared gateway needs besides. */
export const gateway = strict({
  name: dnsLabel
    .refine((name) => name.length <= LONGEST_GATEWAY_NAME, {
      error: `longer than ${LONGEST_GATEWAY_NAME} characters: the names of hosts' Services begin with it`,
    })
    .default(DEFAULT_GATEWAY)
    .describe("names the Deployment and the Service"),
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
    .describe(
      "of the container that holds the tunnels; default: what the flowgen chart sets. DRAIN, LINGER and FORWARDER are the webhook's",
    ),
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
    .describe("a pod that needs one more is refused"),
  maxServices: z
    .int({ error: (issue) => `${quote(issue.input)} is not a number of Services (0-1000)` })
    .min(0)
    .max(1000)
    .default(100)
    .describe("hosts that may have a Service of their own; a pod that needs one more is refused (docs/scale.md)"),
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
  value.env.forEach(({ name }, index) => {
    const instead = OWN_ENV.get(name);
    if (instead !== undefined)
      context.addIssue({
        code: "custom",
        path: ["env", index, "name"],
        message: `${quote(name)} is set by the webhook; ${instead}`,
      });
  });
  clashes(value.tunnels).forEach(([path, message]) => context.addIssue({ code: "custom", path, message }));
});
