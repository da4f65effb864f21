import type { PlacedGateway } from "../config/config.ts";
import { GATEWAY_LABEL } from "../names.ts";
import { type Manifest, metadata, podLabels, type Scripts, scriptsName, tableName } from "./manifests.ts";
import { gatewayContainers, gatewayVolumes } from "./pod.ts";

/**
 * The gateway's pod: one replica, Recreate, because one WireGuard identity can be held by one pod only. A function of the
 * gateway's config and the scripts, never of the table: a new target must not restart it.
 */
export const deploymentManifest = (gateway: PlacedGateway, scripts: Scripts): Manifest => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: metadata(gateway, gateway.name),
  spec: {
    replicas: 1,
    revisionHistoryLimit: 2,
    strategy: { type: "Recreate" },
    selector: { matchLabels: podLabels(gateway) },
    template: {
      metadata: {
        labels: { ...MESH_LABELS, ...gateway.podLabels, ...podLabels(gateway), [GATEWAY_LABEL]: gateway.name },
        annotations: { ...MESH_ANNOTATIONS, ...gateway.podAnnotations, "flowgen.io/scripts": scripts.hash },
      },
      spec: {
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        ...gatewayContainers(gateway),
        volumes: gatewayVolumes(gateway, tableName(gateway), scriptsName(gateway)),
        ...(gateway.imagePullSecrets.length > 0 && { imagePullSecrets: gateway.imagePullSecrets }),
        nodeSelector: { "kubernetes.io/os": "linux", ...gateway.nodeSelector },
        tolerations: [...gateway.tolerations, ...DEAD_NODE_TOLERATIONS],
        affinity: gateway.affinity,
        ...(gateway.topologySpreadConstraints.length > 0 && {
          topologySpreadConstraints: gateway.topologySpreadConstraints,
        }),
        ...optional(gateway, "priorityClassName", "runtimeClassName", "serviceAccountName", "dnsConfig"),
      },
    },
  },
});

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
