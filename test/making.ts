import jsonpatch from "fast-json-patch";
import type { PlacedGateway } from "../src/core/config/config.ts";
import { type Config, readConfig } from "../src/core/config/config.ts";
import type { PatchOperation } from "../src/core/patch.ts";
import type { Pod } from "../src/core/pod.ts";
import { address, type Assignment, type Target, type Want } from "../src/core/target.ts";

/** A config that is known to be valid. */
export const configOf = (yaml: string): Config => {
  const read = readConfig(yaml);
  if (read.kind === "invalid") throw new Error(read.problems.join("\n"));
  return read.config;
};

/** A config of one gateway with one tunnel. */
export const ONE_GATEWAY = `
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]
`;

/** The first gateway of a config, in its namespace. */
export const gatewayOf = (config: Config): PlacedGateway => {
  const [gateway] = config.gateways;
  if (gateway === undefined) throw new Error("the config has no gateway");
  return {
    ...gateway,
    namespace: gateway.namespace ?? "flowgen-gateway",
    isPerNamespace: gateway.namespace === undefined,
  };
};

export const targetOf = (name: string, host: string, port: number, more: Partial<Target> = {}): Target => ({
  name,
  host,
  port,
  hostEnv: [],
  portEnv: [],
  aliases: [],
  ...more,
});

export const wantOf = (name: string, host: string, port: number, more: Partial<Want> = {}): Want => ({
  target: targetOf(name, host, port),
  namespace: "team-a",
  tunnel: "wg0",
  redirect: "env",
  names: [],
  needsService: false,
  ...more,
});

/** A target at a Service, by default at the gateway's own and on its own port. */
export const assignmentOf = (target: Target, more: Partial<Assignment> = {}): Assignment => {
  const { host = "gw.ns.svc", port = target.port } = more;
  return {
    target,
    tunnel: "wg0",
    redirect: "env",
    names: [],
    forward: target.name,
    host,
    port,
    addresses: [address(host, port)],
    clusterIPs: [],
    ...more,
  };
};

/** A flowgen pod with targets, its env given as NAME: value. */
export const podOf = (
  targets: string | undefined,
  env: Readonly<Record<string, string>> = {},
  annotations: Readonly<Record<string, string>> = {},
): Pod => ({
  metadata: {
    labels: { app: "flowgen", "app.kubernetes.io/name": "flowgen" },
    annotations: { ...(targets !== undefined && { "flowgen.io/private-targets": targets }), ...annotations },
  },
  spec: { containers: [{ name: "flowgen", env: Object.entries(env).map(([name, value]) => ({ name, value })) }] },
});

/** The AdmissionReview of a pod's creation, as JSON. `more`: fields of the request that are to be others. */
export const reviewText = (pod: object, more: object = {}): string =>
  JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "u",
      resource: { group: "", version: "v1", resource: "pods" },
      namespace: "team-a",
      operation: "CREATE",
      object: pod,
      ...more,
    },
  });

/** The pod as the API server stores it: a copy with a JSON patch applied, each operation checked. */
export const patched = (pod: Pod, operations: readonly PatchOperation[]): Pod =>
  jsonpatch.applyPatch(structuredClone(pod), structuredClone(operations) as PatchOperation[], true).newDocument;

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
};

export const scripts = { files: { "forward.sh": "#!/bin/sh\n" }, hash: "0123456789abcdef" };
