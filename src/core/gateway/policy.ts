import { isStatic } from "../config/choose.ts";
import type { Config, PlacedGateway } from "../config/config.ts";
import { METRICS_PORT, type Table } from "../forwards/table.ts";
import { GATEWAY_LABEL, TARGET_LABEL_PREFIX } from "../names.ts";
import { type Manifest, metadata, namespacesOf, podLabels, targetOf, tunnelOf } from "./manifests.ts";

/**
 * Admits to each forward the pods that the webhook labelled for it and for this gateway (a name alone may be another
 * gateway's forward), of the namespaces that the config grants it; to a static forward, which is an admin's grant, any flowgen pod of
 * these. A forward that the config no longer allows admits nobody. The metrics have a rule of their own.
 */
export const networkPolicyManifest = (
  gateway: PlacedGateway,
  table: Table,
  podSelector: Config["podSelector"],
): Manifest => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: metadata(gateway, gateway.name),
  spec: {
    podSelector: { matchLabels: podLabels(gateway) },
    policyTypes: ["Ingress", ...(gateway.egress === undefined ? [] : ["Egress"])],
    ingress: [...forwardRules(gateway, table, podSelector), ...metricsRule(gateway)],
    ...(gateway.egress !== undefined && { egress: [DNS_RULE, ...gateway.egress] }),
  },
});

/** Without a peer: the cluster's resolver may be a node's address. */
const DNS_RULE = { ports: ["UDP", "TCP"].map((protocol) => ({ protocol, port: 53 })) };

const metricsRule = ({ metricsFrom }: PlacedGateway): readonly unknown[] =>
  metricsFrom.length === 0 ? [] : [{ from: metricsFrom, ports: [{ protocol: "TCP", port: METRICS_PORT }] }];

const forwardRules = (gateway: PlacedGateway, table: Table, podSelector: Config["podSelector"]): readonly unknown[] =>
  table.forwards.flatMap((forward) => {
    const tunnel = tunnelOf(gateway, forward);
    const namespaces = namespacesOf(gateway, forward);
    if (tunnel === undefined || namespaces?.length === 0) return [];
    const matchLabels = isStatic(tunnel, targetOf(forward))
      ? podSelector.matchLabels
      : { [GATEWAY_LABEL]: gateway.name, [`${TARGET_LABEL_PREFIX}${forward.name}`]: "true" };
    const from = [{ namespaceSelector: namespaceSelector(namespaces), podSelector: { matchLabels } }];
    return [{ from, ports: [{ protocol: "TCP", port: forward.listenPort }] }];
  });

const namespaceSelector = (namespaces: readonly string[] | undefined): unknown =>
  namespaces === undefined
    ? {}
    : { matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: namespaces }] };
