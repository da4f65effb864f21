/** One gateway of the config, with its defaults. */
import * as z from "zod";
import { LONGEST_GATEWAY_NAME } from "../names.ts";
import { repeated } from "../repeats.ts";
import { clashes } from "./clashes.ts";
import { image, socat, WIREGUARD_RESOURCES, WIREGUARD_SECURITY } from "./containers.ts";
import { identityProblems } from "./siblings.ts";
import { tunnel } from "./tunnel.ts";
import { leastMemory, memoryLimit } from "../gateway/capacity.ts";
import { duration, labels, namespaceName, objectName, passed, passedList, text } from "./values.ts";
import { dnsLabel, oneOf, quote, strict } from "../schema.ts";

/** Env that the gateway's manifests set (gateway/pod.ts), each with its replacement. */
const OWN_ENV: ReadonlyMap<string, string> = new Map([
  ["FORWARDER", "write `forwarder:` instead"],
  ["DRAIN", "remove it: a pod that ends must give its identity up before the next one speaks"],
  ["LINGER", "remove it: it belongs to the other container"],
  ["DRAIN_SECONDS", "write `drainSeconds:` instead"],
  ["GATEWAY", "remove it: the pods of a gateway find each other by it"],
  ["SELF", "remove it: the pods of a gateway find each other by it"],
  ["POD", "remove it: the pods of a gateway find each other by it"],
  ["TUNNELS", "write `tunnels:` instead"],
  ["USERSPACE", "write `userspace:` instead"],
]);

/**
 * Labels and annotations that the manifests set on the pod, or that a selector or another gateway's policy would read.
 */
const isOwnKey = (key: string): boolean =>
  /^([^/]+\.)?flowgen\.io\//.test(key) || /^app\.kubernetes\.io\/(name|instance|component|managed-by)$/.test(key);
const annotations = z.record(z.string(), z.string({ error: "not a text; write it in quotes" }), {
  error: "not a map of annotations",
});

const DEFAULT_MAX_FORWARDS = 200;
/** A Service may have 500 ports in one EndpointSlice; and a listener is a process (see gateway/capacity.ts). */
const MOST_FORWARDS = 500;
const notForwards = (issue: { readonly input?: unknown }): string =>
  `${quote(issue.input)} is not a number of forwards (1-${MOST_FORWARDS})`;

export const DEFAULT_GATEWAY = "flowgen-wireguard-gateway";

/**
 * The flowgen chart's `wireguardGateway` block, with its names and defaults, and what a shared gateway needs besides.
 */
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
  userspace: z
    .union([z.boolean(), z.literal("auto")], { error: (issue) => `${quote(issue.input)} is none of auto, true, false` })
    .default("auto")
    .describe(
      "wireguard-go: true uses it and mounts /dev/net/tun, which the image and the node must have; false never does; auto: where the node has no WireGuard and the container has the device without a mount",
    ),
  image: image.prefault({}).describe("of the container that holds the tunnels"),
  imageRegistry: text
    .regex(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*$/, {
      error: (issue) => `${quote(issue.input)} is not a registry such as mirror.example.com/hub`,
    })
    .optional()
    .describe("a mirror: replaces the registry of both images"),
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
    .default([])
    .describe(
      "of the container that holds the tunnels. DRAIN, DRAIN_SECONDS, LINGER, FORWARDER, GATEWAY, POD, SELF, TUNNELS, USERSPACE are the webhook's",
    ),
  resources: passed.default(WIREGUARD_RESOURCES).describe("of the container that holds the tunnels"),
  securityContext: passed
    .default(WIREGUARD_SECURITY)
    .describe("of the container that holds the tunnels; it needs NET_ADMIN"),
  nodeSelector: passed.default({}).describe("of the gateway's pod"),
  tolerations: passedList.default([]).describe("of the gateway's pod"),
  affinity: passed.default({}).describe("of the gateway's pod"),
  topologySpreadConstraints: passedList.default([]).describe("of the gateway's pod"),
  priorityClassName: objectName.optional().describe("of the gateway's pod"),
  runtimeClassName: objectName.optional().describe("of the gateway's pod"),
  serviceAccountName: objectName.optional().describe("of the gateway's pod, which gets no token of it"),
  dnsConfig: passed.optional().describe("of the gateway's pod"),
  podAnnotations: annotations.default({}).describe("of the gateway's pod"),
  podLabels: labels.default({}).describe("of the gateway's pod"),
  annotations: annotations.default({}).describe("of all objects of the gateway"),
  serviceAnnotations: annotations.default({}).describe("of the gateway's Services, besides"),
  egress: passedList
    .optional()
    .describe(
      "the gateway's pod reaches DNS and these only: rules as a NetworkPolicy's `egress` has them, for the VPN servers; absent: anything",
    ),
  metricsFrom: passedList
    .default([{ namespaceSelector: {}, podSelector: { matchLabels: { "app.kubernetes.io/name": "prometheus" } } }])
    .describe(
      "pods that may read the metrics of the gateway's pod, as a NetworkPolicy writes them; []: none. Default: pods of any namespace with the label app.kubernetes.io/name: prometheus",
    ),
  drainSeconds: z
    .int({ error: (issue) => `${quote(issue.input)} is not a number of seconds (5-600)` })
    .min(5)
    .max(600)
    .default(30)
    .describe("how long the sessions of a pod that ends may go on, where the gateway has several identities"),
  retain: duration
    .default(24 * 3600)
    .describe("how long `reconcile` keeps a forward that no live pod uses, such as 30m or 7d; default: 24h"),
  maxForwards: z
    .int({ error: notForwards })
    .min(1, { error: notForwards })
    .max(MOST_FORWARDS, { error: notForwards })
    .optional()
    .describe(`a pod that needs one more is refused; default: ${DEFAULT_MAX_FORWARDS}, at most ${MOST_FORWARDS}`),
  maxForwardsPerNamespace: z
    .int({ error: notForwards })
    .min(1, { error: notForwards })
    .max(MOST_FORWARDS, { error: notForwards })
    .optional()
    .describe(
      "forwards that the pods of one namespace may ask for; a pod that needs a new one beyond is refused, targets that the gateway has are not; default: half of maxForwards",
    ),
  maxServices: z
    .int({ error: (issue) => `${quote(issue.input)} is not a number of Services (0-1000)` })
    .min(0)
    .max(1000)
    .default(100)
    .describe("hosts that may have a Service of their own; a pod that needs one more is refused (docs/scale.md)"),
})
  .superRefine((value, context) => {
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
    identityProblems(value.tunnels).forEach(([path, message]) => context.addIssue({ code: "custom", path, message }));
    clashes(value.tunnels).forEach(([path, message]) => context.addIssue({ code: "custom", path, message }));
    (["podAnnotations", "podLabels", "annotations", "serviceAnnotations"] as const).forEach((field) =>
      Object.keys(value[field])
        .filter(isOwnKey)
        .forEach((key) =>
          context.addIssue({ code: "custom", path: [field, key], message: "is set by the webhook; remove it" }),
        ),
    );
    const limit = memoryLimit(value.socat.resources);
    // The chart's block says nothing of maxForwards, and its 32Mi are for one forward: they are raised (see
    // gateway/pod.ts).
    if (value.maxForwards !== undefined && limit !== undefined && limit < leastMemory(value.maxForwards))
      context.addIssue({
        code: "custom",
        path: ["socat", "resources", "limits", "memory"],
        message: `${limit}Mi does not hold ${value.maxForwards} forwards; write ${leastMemory(value.maxForwards)}Mi or more, lower maxForwards, or leave the limit out`,
      });
  })
  .transform((value) => {
    const { maxForwards = DEFAULT_MAX_FORWARDS } = value;
    const { maxForwardsPerNamespace = Math.ceil(maxForwards / 2) } = value;
    return { ...value, maxForwards, maxForwardsPerNamespace };
  });
