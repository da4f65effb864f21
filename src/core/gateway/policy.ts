import { isStatic } from "../config/choose.ts";
import type { Config, PlacedGateway } from "../config/config.ts";
import { flowgenLabels } from "../config/flowgen-pods.ts";
import { isEqual } from "../equal.ts";
import { FIRST_POLICY, MOST_RULES, policyOf } from "../forwards/policies.ts";
import { METRICS_PORT, READY_PORT } from "../forwards/ports.ts";
import type { Forward, Table } from "../forwards/table.ts";
import { GATEWAY_LABEL, TARGET_LABEL_PREFIX } from "../names.ts";
import { hasSiblings } from "./siblings.ts";
import { type Manifest, metadata, namespacesOf, podLabels, forwardTarget, tunnelOf } from "./manifests.ts";

/** No table has more: a gateway takes 500 forwards. */
const MOST_POLICIES = 3;

/** The first one has the gateway's name. Another one's has a dot, which no gateway's has. */
export const policyName = ({ name }: { readonly name: string }, policy: number): string =>
  policy === FIRST_POLICY ? name : `${name}.${policy}`;

/** The names that a gateway's policies may have. */
export const policyNames = (gateway: { readonly name: string }): readonly string[] =>
  Array.from({ length: MOST_POLICIES }, (_, at) => policyName(gateway, FIRST_POLICY + at));

/** The policies that a gateway needs when it holds as many forwards as it may. */
export const policiesFor = ({ maxForwards }: PlacedGateway): readonly number[] =>
  Array.from({ length: Math.ceil(maxForwards / MOST_RULES) }, (_, at) => FIRST_POLICY + at);

/**
 * Admits pods to each forward: those of the namespaces that the config grants it, which the webhook labelled for the
 * forward and for this gateway. (A name alone may be another gateway's forward.) A static forward is an admin's grant,
 * and admits any flowgen pod of these namespaces. A forward that the config no longer allows admits no pod. The first
 * policy also has a rule for the metrics, and the egress. A policy opens the ports of its own rules, also where another
 * policy lacks them.
 */
export const networkPolicyManifest = (
  gateway: PlacedGateway,
  table: Table,
  podSelector: Config["podSelector"],
  policy = FIRST_POLICY,
): Manifest => {
  const forwards = table.forwards.filter((forward) => policyOf(forward) === policy);
  const egress = policy === FIRST_POLICY ? gateway.egress : undefined;
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadata(gateway, policyName(gateway, policy)),
    spec: {
      podSelector: { matchLabels: podLabels(gateway) },
      policyTypes: ["Ingress", ...(egress === undefined ? [] : ["Egress"])],
      ingress: [
        ...forwards.flatMap((forward) => forwardRule(gateway, forward, podSelector) ?? []),
        ...(policy === FIRST_POLICY ? [...metricsRule(gateway), ...siblingsIngress(gateway)] : []),
      ],
      ...(egress !== undefined && { egress: [DNS_RULE, ...siblingsEgress(gateway), ...egress] }),
    },
  };
};

/** Without a peer: the cluster's resolver may be a node's address. */
const DNS_RULE = { ports: ["UDP", "TCP"].map((protocol) => ({ protocol, port: 53 })) };

const metricsRule = ({ metricsFrom }: PlacedGateway): readonly unknown[] =>
  metricsFrom.length === 0 ? [] : [{ from: metricsFrom, ports: [{ protocol: "TCP", port: METRICS_PORT }] }];

/** The gateway's pods ask each other, and the Service, who serves. */
const siblingsPorts = [READY_PORT, METRICS_PORT].map((port) => ({ protocol: "TCP", port }));
const siblingsPeer = (gateway: PlacedGateway): unknown => ({ podSelector: { matchLabels: podLabels(gateway) } });
const siblingsIngress = (gateway: PlacedGateway): readonly unknown[] =>
  hasSiblings(gateway) ? [{ from: [siblingsPeer(gateway)], ports: siblingsPorts }] : [];
const siblingsEgress = (gateway: PlacedGateway): readonly unknown[] =>
  hasSiblings(gateway) ? [{ to: [siblingsPeer(gateway)], ports: siblingsPorts }] : [];

type Rule = {
  readonly from: readonly { readonly namespaceSelector: NamespaceSelector; readonly podSelector: unknown }[];
  readonly ports: readonly { readonly protocol: string; readonly port: number }[];
};
type NamespaceSelector = { readonly matchExpressions?: readonly { readonly values: readonly string[] }[] };

const forwardRule = (
  gateway: PlacedGateway,
  forward: Forward,
  podSelector: Config["podSelector"],
): Rule | undefined => {
  const tunnel = tunnelOf(gateway, forward);
  const namespaces = namespacesOf(gateway, forward);
  if (tunnel === undefined || namespaces?.length === 0) return undefined;
  const sets = isStatic(tunnel, forwardTarget(forward))
    ? flowgenLabels({ podSelector })
    : [{ [GATEWAY_LABEL]: gateway.name, [`${TARGET_LABEL_PREFIX}${forward.name}`]: "true" }];
  const from = sets.map((matchLabels) => ({
    namespaceSelector: namespaceSelector(namespaces),
    podSelector: { matchLabels },
  }));
  return { from, ports: [{ protocol: "TCP", port: forward.listenPort }] };
};

/** A policy as the API server has it. */
type Live = { readonly [field: string]: unknown } | undefined;

const rulesFor = (policy: Live, { listenPort }: Forward): readonly Partial<Rule>[] => {
  const { ingress = [] } = { ...(policy?.["spec"] as { readonly ingress?: readonly Partial<Rule>[] } | undefined) };
  return ingress.filter(({ ports }) => ports?.some(({ port }) => port === listenPort));
};

export const hasRule = (policy: Live, forward: Forward): boolean => rulesFor(policy, forward).length > 0;

/** Whether a policy admits the pods of a namespace to a forward as the one that is wanted would. */
export const admitsTo = (
  policy: Live,
  gateway: PlacedGateway,
  forward: Forward,
  podSelector: Config["podSelector"],
  namespace: string,
): boolean => {
  const wanted = forwardRule(gateway, forward, podSelector)?.from ?? [];
  const peers = rulesFor(policy, forward)
    .flatMap(({ from = [] }) => from)
    .filter(({ namespaceSelector: { matchExpressions = [] } }) =>
      matchExpressions.every(({ values }) => values.includes(namespace)),
    );
  const isThere = (pods: unknown): boolean => peers.some(({ podSelector }) => isEqual(podSelector, pods));
  return wanted.length > 0 && wanted.every(({ podSelector }) => isThere(podSelector));
};

const namespaceSelector = (namespaces: readonly string[] | undefined) =>
  namespaces === undefined
    ? {}
    : { matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: namespaces }] };
