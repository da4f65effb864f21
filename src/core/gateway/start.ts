/**
 * The start of a gateway with one identity: pure. Its Services have the pod as an endpoint as soon as it has an address,
 * ready or not. kube-proxy's rules then stand before the pod listens, and the first connection after that succeeds.
 * Before that the pod itself refuses, as the node does where a Service has no endpoint.
 *
 * It ends with the first ready pod. Later a pod that is not ready may be one that ends, or one on a dead node, and what
 * is sent there is lost. With several identities readiness decides which pod serves.
 */
import type { PlacedGateway } from "../config/config.ts";
import { healthOf, type Live } from "./roll.ts";
import { hasSiblings } from "./siblings.ts";

/** The field of a Service's spec whose endpoints need not be ready. */
export const PUBLISHED = { publishNotReadyAddresses: true };

/** Whether the endpoints of a Service need not be ready. */
export const isPublished = (service: { readonly [field: string]: unknown }): boolean =>
  (service["spec"] as Partial<typeof PUBLISHED> | undefined)?.publishNotReadyAddresses === true;

/** Whether no pod of the gateway has been ready, as far as its own Service and its Deployments say. */
export const isStarting = (
  gateway: PlacedGateway,
  service: { readonly [field: string]: unknown } | undefined,
  deployments: readonly Live[],
): boolean =>
  !hasSiblings(gateway) &&
  (service === undefined || isPublished(service)) &&
  deployments.every((deployment) => healthOf(deployment) !== "serves");
