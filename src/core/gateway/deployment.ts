import type { PlacedGateway } from "../config/config.ts";
import { GATEWAY_LABEL, SIBLING_LABEL } from "../names.ts";
import { type Manifest, metadata, podLabels, type Scripts, scriptsName, tableName } from "./manifests.ts";
import { asSibling, identitiesOf, type Sibling } from "./siblings.ts";
import { gatewayContainers } from "./pod.ts";
import { gatewayVolumes } from "./volumes.ts";

/**
 * The selector of a Deployment of the gateway. That of the first one fits the pods of all: their owners distinguish
 * them.
 */
export const selectorOf = (gateway: PlacedGateway, name: string): Readonly<Record<string, string>> => ({
  ...podLabels(gateway),
  ...(name !== gateway.name && { [SIBLING_LABEL]: name }),
});

/**
 * One pod of the gateway: one replica, Recreate, because one WireGuard identity can be held by one pod only. A function
 * of the gateway's config and the scripts. It depends neither on the table nor on the number of identities: a new
 * target, or a further identity, must not restart the pod.
 */
export const deploymentManifest = (placed: PlacedGateway, scripts: Scripts, sibling = firstOf(placed)): Manifest => {
  const gateway = asSibling(placed, sibling);
  const { name } = sibling;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: metadata(gateway, name),
    spec: {
      replicas: 1,
      revisionHistoryLimit: 2,
      strategy: { type: "Recreate" },
      selector: { matchLabels: selectorOf(gateway, name) },
      template: {
        metadata: {
          labels: { ...MESH_LABELS, ...gateway.podLabels, ...selectorOf(gateway, name), [GATEWAY_LABEL]: gateway.name },
          annotations: { ...MESH_ANNOTATIONS, ...gateway.podAnnotations, "flowgen.io/scripts": scripts.hash },
        },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          ...gatewayContainers(gateway, name),
          volumes: gatewayVolumes(gateway, tableName(gateway), scriptsName(gateway)),
          ...(gateway.imagePullSecrets.length > 0 && { imagePullSecrets: gateway.imagePullSecrets }),
          nodeSelector: { "kubernetes.io/os": "linux", ...gateway.nodeSelector },
          tolerations: [...gateway.tolerations, ...DEAD_NODE_TOLERATIONS],
          affinity: withApart(gateway, name),
          ...(gateway.topologySpreadConstraints.length > 0 && {
            topologySpreadConstraints: gateway.topologySpreadConstraints,
          }),
          ...optional(gateway, "priorityClassName", "runtimeClassName", "serviceAccountName", "dnsConfig"),
        },
      },
    },
  };
};

/** The Deployment of the gateway's own name, as it is made. */
const firstOf = (gateway: PlacedGateway): Sibling => {
  const [secretName = ""] = identitiesOf(gateway);
  return { name: gateway.name, secretName };
};

/** The pods of the other Deployments. A pod that ends must not keep its successor from its own node, where the others are not. */
const siblingsSelector = (gateway: PlacedGateway, name: string): Readonly<Record<string, unknown>> => ({
  matchLabels: podLabels(gateway),
  matchExpressions: [
    name === gateway.name
      ? { key: SIBLING_LABEL, operator: "Exists" }
      : { key: SIBLING_LABEL, operator: "NotIn", values: [name] },
  ],
});

/** Two pods of the gateway are on two nodes, where that can be; beside what the admin asks for. */
const withApart = (gateway: PlacedGateway, name: string): Readonly<Record<string, unknown>> => {
  const { affinity } = gateway;
  const { podAntiAffinity } = affinity as { readonly podAntiAffinity?: { readonly [PREFERRED]?: readonly unknown[] } };
  const podAffinityTerm = { labelSelector: siblingsSelector(gateway, name), topologyKey: "kubernetes.io/hostname" };
  const preferred = [...(podAntiAffinity?.[PREFERRED] ?? []), { weight: 100, podAffinityTerm }];
  return { ...affinity, podAntiAffinity: { ...podAntiAffinity, [PREFERRED]: preferred } };
};
const PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution";

/** A mesh's proxy would capture the pod's traffic, and the tunnel's with it. Ambient meshes capture pods without a proxy too. */
const MESH_ANNOTATIONS = { "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled" };
const MESH_LABELS = { "istio.io/dataplane-mode": "none" };

const optional = <Key extends keyof PlacedGateway>(
  gateway: PlacedGateway,
  ...keys: readonly Key[]
): Partial<Pick<PlacedGateway, Key>> =>
  Object.fromEntries(keys.flatMap((key) => (gateway[key] === undefined ? [] : [[key, gateway[key]]]))) as Partial<
    Pick<PlacedGateway, Key>
  >;

/** Kubernetes' default leaves the only gateway on a dead node for five minutes. */
const DEAD_NODE_TOLERATIONS = ["not-ready", "unreachable"].map((condition) => ({
  key: `node.kubernetes.io/${condition}`,
  operator: "Exists",
  effect: "NoExecute",
  tolerationSeconds: 30,
}));
