/** A gateway's NetworkPolicies. One that the API server refuses shuts out the pods that need a new rule of it, and no other pods. */
import { ClusterError, isConflict, isDeadline, isTransient, type KubeObject } from "../cluster/cluster.ts";
import type { Config } from "../core/config/config.ts";
import type { Given } from "../core/forwards/allocate.ts";
import { FIRST_POLICY, policiesOf, policyOf } from "../core/forwards/policies.ts";
import type { Table } from "../core/forwards/table.ts";
import { admitsTo, hasRule, networkPolicyManifest, policyName } from "../core/gateway/policy.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import type { Applier } from "./applier.ts";

export type RefusedPolicy = { readonly policy: number; readonly error: ClusterError };

type Serving = {
  readonly follow: Applier["follow"];
  readonly gateway: PlacedGateway;
  readonly table: Table;
  readonly podSelector: Config["podSelector"];
  readonly read: readonly KubeObject[];
};

/**
 * Brings the policies to the table; those without forwards stay, empty. The first one comes last: rules of a table from before there were several leave it
 * when the others have them. Returns the policies that the API server refused.
 */
export const servePolicies = async ({
  follow,
  gateway,
  table,
  podSelector,
  read,
}: Serving): Promise<readonly RefusedPolicy[]> => {
  const readOf = (policy: number): KubeObject | undefined =>
    read.find(({ metadata }) => metadata.name === policyName(gateway, policy));
  const refused: RefusedPolicy[] = [];
  const keepPolicy = async (policy: number): Promise<void> => {
    try {
      await follow(readOf(policy), (from) => networkPolicyManifest(gateway, from, podSelector, policy));
    } catch (error) {
      const isForGood = error instanceof ClusterError && !isConflict(error) && !isTransient(error);
      if (!isForGood || isDeadline(error)) throw error;
      refused.push({ policy, error });
    }
  };
  const others = policiesOf(table).filter((policy) => policy !== FIRST_POLICY);
  const empty = read.flatMap(({ metadata }) => {
    const number = Number(metadata.name?.slice(gateway.name.length + 1));
    return number > FIRST_POLICY && !others.includes(number) ? [number] : [];
  });
  await Promise.all([...others, ...empty].map(keepPolicy));
  const first = readOf(FIRST_POLICY);
  const left = refused.find(({ policy }) =>
    table.forwards.some((forward) => policyOf(forward) === policy && hasRule(first, forward)),
  );
  if (left) refused.push({ ...left, policy: FIRST_POLICY });
  else await keepPolicy(FIRST_POLICY);
  return refused;
};

/** Why a pod cannot have what it was given: a policy was refused, and those that the API server has (`live`) do not admit it. Undefined: it can. */
export const shutBy =
  (
    refused: readonly RefusedPolicy[],
    live: readonly KubeObject[],
    gateway: PlacedGateway,
    podSelector: Config["podSelector"],
  ) =>
  (given: readonly Given[]): ClusterError | undefined =>
    refused.find(({ policy }) =>
      given
        .filter(({ forward }) => policyOf(forward) === policy)
        .some(({ forward, want: { namespace } }) =>
          live.every((each) => !admitsTo(each, gateway, forward, podSelector, namespace)),
        ),
    )?.error;

/** The table without the forwards of policies that were refused. */
export const withoutPolicies = (table: Table, refused: readonly RefusedPolicy[]): Table =>
  refused.length === 0
    ? table
    : {
        ...table,
        forwards: table.forwards.filter((forward) => refused.every(({ policy }) => policyOf(forward) !== policy)),
      };
