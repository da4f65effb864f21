/** Objects of a gateway with several identities, besides the Deployment of each. */
import type { PlacedGateway } from "../config/config.ts";
import { podsName } from "../config/siblings.ts";
import { METRICS_PORT } from "../forwards/ports.ts";
import { type Manifest, metadata, podLabels } from "./manifests.ts";

/** By this Service a gateway's pods find each other, those too that start or end. */
export const podsManifest = (gateway: PlacedGateway): Manifest => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: metadata(gateway, podsName(gateway)),
  spec: {
    type: "ClusterIP",
    clusterIP: "None",
    ipFamilyPolicy: "PreferDualStack",
    publishNotReadyAddresses: true,
    selector: podLabels(gateway),
    ports: [{ name: "metrics", port: METRICS_PORT, targetPort: METRICS_PORT, protocol: "TCP", appProtocol: "tcp" }],
  },
});

/** Evictions take one pod of a gateway at a time; one that is not ready serves no client. */
export const disruptionBudgetManifest = (gateway: PlacedGateway): Manifest => ({
  apiVersion: "policy/v1",
  kind: "PodDisruptionBudget",
  metadata: metadata(gateway, gateway.name),
  spec: {
    maxUnavailable: 1,
    unhealthyPodEvictionPolicy: "AlwaysAllow",
    selector: { matchLabels: podLabels(gateway) },
  },
});
