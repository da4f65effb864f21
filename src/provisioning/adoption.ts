/**
 * Whether a gateway that another tool made or restored can be taken over, and by which steps: pure. A gateway of the
 * flowgen chart keeps its Service, name and address. Its Deployment is replaced: the selector, which cannot change, is
 * not that of a gateway of the webhook.
 */
import type { KubeObject } from "../cluster/cluster.ts";
import { isHeldByOthers } from "../cluster/managed-fields.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { identityHolder } from "../core/config/identity.ts";
import {
  type ChartForward,
  type ChartTunnel,
  isGatewayService,
  missingForwards,
  missingTunnels,
  readChartGateway,
} from "../core/gateway/chart.ts";
import { address } from "../core/target.ts";
import { type GatewayObjects, isManaged, kindAndName, selectsOurs } from "./objects.ts";

export type AdoptionStep =
  | { readonly kind: "table" }
  /** The object's marks are the webhook's, and so are its fields. */
  | { readonly kind: "take"; readonly object: KubeObject; readonly isOurs: boolean }
  /** Its pods end, and it is deleted: the webhook's is made in its place. */
  | { readonly kind: "replace"; readonly deployment: KubeObject };

export type Adoption =
  | { readonly kind: "adoption"; readonly steps: readonly AdoptionStep[] }
  | { readonly kind: "refused"; readonly reason: AdoptionRefusal; readonly says: string };

export type AdoptionRefusal =
  "absent" | "object-other" | "forward-unread" | "forward-missing" | "tunnel-missing" | "identity-held";

const refused = (reason: AdoptionRefusal, says: string): Adoption => ({ kind: "refused", reason, says });

/** `objects`: with all Deployments of gateways in the namespace as `otherDeployments`. */
export const planAdoption = (objects: GatewayObjects, gateway: PlacedGateway): Adoption => {
  const { deployments, service, podsService, table, scripts, networkPolicies, hostServices } = objects;
  const deployment = firstOf(objects, gateway);
  const present = [table, scripts, ...networkPolicies, service, podsService, ...deployments, ...hostServices].filter(
    (object) => object !== undefined,
  );
  if (present.length === 0) return refused("absent", `there is no gateway ${gateway.namespace}/${gateway.name}`);
  const replaced = deployment !== undefined && !(isManaged(deployment) && selectsOurs(deployment, gateway));
  const problem =
    otherObject(objects, gateway, replaced) ??
    (replaced ? unlike(objects, gateway) : undefined) ??
    held(objects, gateway);
  if (problem !== undefined) return problem;
  const taken = present.filter((object) => object !== deployment || !replaced).filter(needsTaking);
  return {
    kind: "adoption",
    steps: [
      ...(table === undefined ? [{ kind: "table" } as const] : []),
      ...taken.map((object) => ({ kind: "take" as const, object, isOurs: isManaged(object) })),
      ...(replaced ? [{ kind: "replace" as const, deployment }] : []),
    ],
  };
};

/** The Deployment of the gateway's own name: the chart's, or the webhook's first one. */
const firstOf = ({ deployments }: GatewayObjects, { name }: PlacedGateway): KubeObject | undefined =>
  deployments.find(({ metadata }) => metadata.name === name);

const needsTaking = (object: KubeObject): boolean => !isManaged(object) || isHeldByOthers(object);

/** An object of the gateway's names that neither the webhook nor the chart made. */
const otherObject = (objects: GatewayObjects, gateway: PlacedGateway, isReplaced: boolean): Adoption | undefined => {
  const { deployments, service, podsService, table, scripts, networkPolicies, hostServices } = objects;
  const deployment = firstOf(objects, gateway);
  const siblings = deployments.filter((each) => each !== deployment);
  const isChart = !isReplaced || readChartGateway(deployment, service) !== undefined;
  const other =
    [table, scripts, ...networkPolicies, podsService, ...siblings, ...hostServices].find(
      (object) => object !== undefined && !isManaged(object),
    ) ??
    (isChart ? undefined : deployment) ??
    (service === undefined || isManaged(service) || isGatewayService(service) ? undefined : service);
  return (
    other &&
    refused(
      "object-other",
      `${kindAndName(other)} is neither the webhook's nor the flowgen chart's: rename the gateway in the config, or delete the object`,
    )
  );
};

/** Forwards of the chart's gateway that the config would not serve. */
const unlike = (objects: GatewayObjects, gateway: PlacedGateway): Adoption | undefined => {
  const chart = readChartGateway(firstOf(objects, gateway), objects.service);
  if (chart === undefined) return undefined;
  const [line] = chart.unread;
  if (line !== undefined)
    return refused(
      "forward-unread",
      `not read as a forward: ${chart.unread.join("; ")}: remove it there, or write it as a portForward of the config and remove it there`,
    );
  const tunnels = missingTunnels(chart, gateway);
  if (tunnels.length > 0)
    return refused("tunnel-missing", `the config's gateway lacks ${tunnels.map(tunnelText).join(", ")}`);
  const forwards = missingForwards(chart, gateway);
  if (forwards.length > 0)
    return refused(
      "forward-missing",
      `the config's gateway lacks the portForwards ${forwards.map(forwardText).join(", ")}`,
    );
  return undefined;
};

const tunnelText = ({ name, secretName, secretKey }: ChartTunnel): string =>
  `tunnel ${name} of the Secret ${secretName} (${secretKey})`;
const forwardText = ({ name, targetHost, targetPort, servicePort }: ChartForward): string =>
  `${name} (${servicePort} → ${address(targetHost, targetPort)})`;

/** Found out before the outage begins. */
const held = ({ otherDeployments }: GatewayObjects, gateway: PlacedGateway): Adoption | undefined => {
  const holder = identityHolder(gateway, otherDeployments);
  return (
    holder &&
    refused(
      "identity-held",
      `Deployment ${holder.holder} mounts the Secret ${holder.secretName} too, and one pod only can be connected: scale it to 0`,
    )
  );
};
