/** The two containers of a gateway's pod, with the defaults of the flowgen chart. */
import { oneOf, quote, strict } from "../schema.ts";
import { passed, text } from "./values.ts";

/** The image of the container that holds the tunnels. */
export const image = strict({
  repository: text.default("ghcr.io/linuxserver/wireguard").describe("used for its tools: wg, ip, iptables"),
  tag: text.default("1.0.20250521-r1-ls105").describe("its version"),
  digest: text
    .regex(/^sha256:[0-9a-f]{64}$/, { error: (issue) => `${quote(issue.input)} is not sha256: and 64 hex digits` })
    .optional()
    .describe("pins the image besides its tag"),
  pullPolicy: oneOf("IfNotPresent", "Always", "Never").default("IfNotPresent").describe("of the pod's images"),
});

/**
 * The chart's limits end near 400 connections (socat's 32Mi) and throttle a shared gateway. Throttling socat (50m), or
 * wireguard-go with the probes (200m), pauses all connections. So there is no CPU limit by default, and socat's memory
 * limit follows from maxForwards.
 */
const SOCAT_RESOURCES = { requests: { cpu: "10m", memory: "64Mi" } };
/** The container that forwards. */
export const socat = strict({
  image: text.default("alpine/socat:1.8.0.1").describe("whole, with its tag or digest; used for socat"),
  resources: passed
    .default(SOCAT_RESOURCES)
    .describe("of the container that forwards; default of limits.memory: what maxForwards and 2,000 sessions need"),
  securityContext: passed
    .default({})
    .describe("laid over that of the container that forwards; Linux before 5.7 needs runAsUser 0 and NET_RAW"),
});

/** Of the container that holds the tunnels. */
export const WIREGUARD_RESOURCES = { limits: { memory: "256Mi" }, requests: { cpu: "50m", memory: "64Mi" } };
export const WIREGUARD_SECURITY = {
  runAsUser: 0,
  runAsNonRoot: false,
  capabilities: { add: ["NET_ADMIN"] },
  privileged: false,
};
