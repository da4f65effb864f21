/** The findings of a run of `reconcile` for an admin: in its output, as Events and in its figures. */
import { type Cluster, ClusterError, type KubeObject, resources } from "../../cluster/cluster.ts";
import { eventAbout } from "../../cluster/event.ts";
import type { Census, PodMetadata } from "../../core/census.ts";
import type { PlacedGateway } from "../../core/config/config.ts";
import { holderFindings } from "../../core/gateway/holders.ts";
import type { Reconciled, Unreconciled } from "../../provisioning/reconcile.ts";
import type { ReconcileFinding } from "./figures.ts";

/** Events of one run: more of one kind say nothing more. */
const MOST_EVENTS = 50;

/** A gateway that could not be reconciled. */
export const notKept = (gateway: PlacedGateway, why: Unreconciled | ClusterError): ReconcileFinding => {
  const { name, namespace } = gateway;
  const about = { kind: "Deployment", metadata: { name, namespace } } as const;
  if (why instanceof ClusterError) return { reason: "not-kept", about, says: why.message };
  return {
    reason: "not-kept",
    about,
    says: why.kind === "reject" ? `${why.reason}: ${why.message}` : `${why.reason}: ${why.detail}`,
  };
};

/** Pods with an address of a host's Service that is no longer its own. */
export const strandedBy = (census: Census, { gateway, table }: Reconciled): readonly ReconcileFinding[] =>
  table.services.flatMap((service) =>
    census.stranded(gateway, service).map((metadata) => ({
      reason: "address-lost" as const,
      about: { kind: "Pod" as const, metadata },
      says: `its hostAliases map ${service.host} to an address that is not ${service.name}'s, and may be another Service's: delete the pod, so that its workload makes another`,
    })),
  );

/** Gateways that the config does not know or that hold one identity; pods that run unredirected or cannot be read. */
export const clusterFindings = (
  census: Census,
  deployments: readonly KubeObject[],
  gateways: readonly PlacedGateway[],
): readonly ReconcileFinding[] => {
  const ofDeployment = (name: string, namespace: string): ReconcileFinding["about"] =>
    deployments.find(({ metadata }) => metadata.name === name && metadata.namespace === namespace) ?? {
      kind: "Deployment",
      metadata: { name, namespace },
    };
  const ofPod = (metadata: PodMetadata): ReconcileFinding["about"] => ({ kind: "Pod", metadata });
  return [
    ...holderFindings(deployments, gateways).map(({ reason, name, namespace, says }) => ({
      reason,
      about: ofDeployment(name, namespace),
      says,
    })),
    ...census.unredirected().map((pod) => ({
      reason: "unredirected" as const,
      about: ofPod(pod),
      says: "asks for private targets and was not redirected: it was made while the webhook was not asked; delete it, so that its workload makes another",
    })),
    ...census.unread().map((pod) => ({
      reason: "format-newer" as const,
      about: ofPod(pod),
      says: "a newer version wrote its status: no forward is marked or removed until this command is of that version",
    })),
  ];
};

const EVENT_REASONS = {
  orphan: "GatewayOrphan",
  "identity-twice": "IdentityHeldTwice",
  unredirected: "NotRedirected",
  "address-lost": "AddressLost",
  "format-newer": "StatusNotRead",
  "not-kept": "GatewayNotKept",
} as const;

/** An Event is a convenience: without the right to make one, the output and the figures say the same. */
export const tellEvents = async (
  cluster: Cluster,
  findings: readonly ReconcileFinding[],
  signal: AbortSignal,
): Promise<void> => {
  for (const { reason, about, says } of findings.slice(0, MOST_EVENTS)) {
    const involved = { apiVersion: resources[about.kind].apiVersion, ...about };
    const event = eventAbout(involved, { type: "Warning", reason: EVENT_REASONS[reason], message: says });
    await cluster.create(event, signal).catch(() => undefined);
  }
};
