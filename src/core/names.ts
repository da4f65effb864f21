import { perObject } from "./memo.ts";

/** The names that users, admins and other tools see. See README.md for what each means. */

export const MANAGER = "flowgen-gateway-webhook";
export const MANAGED_BY = "app.kubernetes.io/managed-by";

export const annotation = {
  targets: "flowgen.io/private-targets",
  gateway: "flowgen.io/gateway",
  tunnel: "flowgen.io/tunnel",
  mode: "flowgen.io/mode",
  status: "flowgen.io/gateway-status",
  keepEnv: "flowgen.io/keep-env",
} as const;

export const GATEWAY_LABEL = "flowgen.io/gateway";
/** A pod that carries `<prefix><forward name>: "true"` is admitted to that forward by the gateway's NetworkPolicy. */
export const TARGET_LABEL_PREFIX = "target.flowgen.io/";

/** Where a pod finds a gateway. It ends in `.svc`: that resolves from any namespace, whatever the cluster domain is called. */
export const dnsName = (gateway: { readonly name: string; readonly namespace: string }): string =>
  `${gateway.name}.${gateway.namespace}.svc`;

/** A gateway in the status, answers, log and metrics: `namespace/name`. Made once for each config's gateway. */
export const gatewayId = perObject(
  ({ namespace, name }: { readonly namespace: string; readonly name: string }): string => `${namespace}/${name}`,
);
