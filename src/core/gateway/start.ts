/**
 * The start of a gateway with one identity: pure. Its Services have the pod as an endpoint as soon as the pod has an
 * address, ready or not. The rules of kube-proxy then stand before the pod listens, and the first connection after that
 * succeeds. Until then the pod itself refuses at once, as the node does where a Service has no endpoint.
 *
 * The start ends with the first ready pod, and the Services are set back. Later a pod that is not ready may be ending,
 * or be on a dead node: what is sent there is lost. With several identities readiness decides which pod serves.
 */
import type { PlacedGateway } from "../config/config.ts";
import { healthOf, type Live } from "./roll.ts";
import { hasSiblings } from "./siblings.ts";

/** The field of a Service's spec whose endpoints need not be ready. */
export const PUBLISHED = { publishNotReadyAddresses: true };

/** Whether the endpoints of a Service need not be ready. */
export const isPublished = (service: { readonly [field: string]: unknown }): boolean =>
  (service["spec"] as Partial<typeof PUBLISHED> | undefined)?.publishNotReadyAddresses === true;

/** Whether no pod of the gateway has been ready yet, as its own Service and its Deployments say. */
export const isStarting = (
  gateway: PlacedGateway,
  service: { readonly [field: string]: unknown } | undefined,
  deployments: readonly Live[],
): boolean =>
  !hasSiblings(gateway) &&
  (service === undefined || isPublished(service)) &&
  deployments.every((deployment) => healthOf(deployment) !== "serves");
