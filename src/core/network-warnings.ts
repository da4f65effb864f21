import type { PlacedGateway } from "./config/config.ts";
import type { Pod } from "./pod.ts";
import type { Want } from "./target.ts";

/**
 * A pod on the node's network, or with another DNS policy, cannot resolve a Service; hostAliases need no DNS. A
 * NetworkPolicy selects pods by labels; the CNI decides about pods on the node's network.
 */
export const networkWarnings = (
  { spec: { dnsPolicy: policy, hostNetwork, dnsConfig } }: Pod,
  wants: readonly Want[],
  { clusterDomain }: PlacedGateway,
): readonly string[] => {
  const isBlind =
    policy === "Default" || policy === "None" || (hostNetwork === true && policy !== "ClusterFirstWithHostNet");
  const ndots = Number(dnsConfig?.options?.find(({ name }) => name === "ndots")?.value ?? NDOTS);
  const needsDns = wants.some(({ redirect }) => redirect === "env");
  return [
    ...(isBlind && needsDns
      ? ["the pod does not use cluster DNS and cannot resolve the gateway: set dnsPolicy ClusterFirst[WithHostNet]"]
      : []),
    ...(ndots <= DOTS && clusterDomain === undefined && needsDns
      ? [
          `ndots is ${ndots}: images on musl (Alpine) do not find the gateway; set clusterDomain in the webhook's config`,
        ]
      : []),
    ...(hostNetwork === true
      ? ["hostNetwork: the gateway's NetworkPolicy knows pods by their labels and may refuse one on the node's network"]
      : []),
  ];
};
/** The kubelet's default for a pod's resolver. */
const NDOTS = 5;
/** musl does not search for a name with `ndots` dots or more (gateway.namespace.svc has two); glibc does. */
const DOTS = 2;
