/**
 * A gateway's forwards are spread over NetworkPolicies. One object of 500 rules with all their namespaces would be too
 * large for some API servers and network plugins. The table records the policy of each forward, so that its rule stays
 * there when others are removed.
 */
import type { Forward, Table } from "./table.ts";

/** Forwards of one policy. */
export const MOST_RULES = 200;
export const FIRST_POLICY = 1;

/** The number of the policy that has a forward's rule. */
export const policyOf = ({ policy = FIRST_POLICY }: Forward): number => policy;

/** The policies of a table, the first one always. */
export const policiesOf = ({ forwards }: Table): readonly number[] =>
  [...new Set([FIRST_POLICY, ...forwards.map(policyOf)])].sort((a, b) => a - b);

/** The table with no more than `MOST_RULES` forwards in one policy: who comes too late gets the first that has room. The same table where that is so. */
export const spread = (table: Table): Table => {
  const counts = new Map<number, number>();
  const hasRoom = (policy: number): boolean => (counts.get(policy) ?? 0) < MOST_RULES;
  const firstWithRoom = (): number => {
    let policy = FIRST_POLICY;
    while (!hasRoom(policy)) policy += 1;
    return policy;
  };
  const late = new Set<Forward>();
  for (const forward of table.forwards) {
    const policy = policyOf(forward);
    if (hasRoom(policy)) counts.set(policy, (counts.get(policy) ?? 0) + 1);
    else late.add(forward);
  }
  if (late.size === 0) return table;
  const placed = (forward: Forward): Forward => {
    const policy = firstWithRoom();
    counts.set(policy, (counts.get(policy) ?? 0) + 1);
    return { ...forward, policy };
  };
  return { ...table, forwards: table.forwards.map((forward) => (late.has(forward) ? placed(forward) : forward)) };
};
