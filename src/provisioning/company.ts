/** Objects that a gateway has only with several identities. They are deleted when one identity is left. */
import { type Cluster, ClusterError, isConflict, isTransient, type KubeObject } from "../cluster/cluster.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { disruptionBudgetManifest, podsManifest } from "../core/gateway/company.ts";
import { hasSiblings } from "../core/gateway/siblings.ts";
import type { Applier } from "./applier.ts";
import { type GatewayObjects, isManaged } from "./objects.ts";

type Company = {
  readonly cluster: Cluster;
  readonly gateway: PlacedGateway;
  readonly objects: GatewayObjects;
  readonly bring: Applier["bring"];
  readonly signal: AbortSignal;
};

/** Makes the Service by which the pods find each other, and the disruption budget; or deletes them. */
export const serveCompany = async (company: Company): Promise<void> => {
  const { gateway, objects, bring } = company;
  const { podsService, deployments } = objects;
  if (hasSiblings(gateway)) {
    await bring(podsService, podsManifest(gateway));
    await unlessRefused(serveBudget(company));
  } else if (podsService !== undefined && deployments.length < 2) {
    await unlessRefused(deleteBudget(company));
    // Last: by it a later look knows that there is something to delete.
    await deleteRead(company, podsService);
  }
};

const budgetOf = ({ cluster, gateway: { name, namespace }, signal }: Company): Promise<KubeObject | undefined> =>
  cluster.get({ kind: "PodDisruptionBudget", namespace, name }, signal);

const serveBudget = async (company: Company): Promise<void> => {
  const read = await budgetOf(company);
  if (read === undefined || isManaged(read)) await company.bring(read, disruptionBudgetManifest(company.gateway));
};

const deleteBudget = async (company: Company): Promise<void> => {
  const read = await budgetOf(company);
  if (read !== undefined && isManaged(read)) await deleteRead(company, read);
};

/** Its controller writes its status: the next look deletes what has changed since it was read. */
const deleteRead = async ({ cluster, signal }: Company, object: KubeObject): Promise<void> => {
  try {
    await cluster.delete(object, signal);
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
};

/** A budget helps an admin who drains nodes. Without the right to it, pods are served all the same. */
const unlessRefused = async (work: Promise<void>): Promise<void> => {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof ClusterError) || isTransient(error)) throw error;
  }
};
