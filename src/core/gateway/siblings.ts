/**
 * The Deployments of a gateway: one for each of its WireGuard identities, behind the same Services. Their names do not
 * say which identity each has: one that runs keeps its Secret in any order of the config.
 */
import { siblingNames } from "../config/siblings.ts";
import type { PlacedGateway } from "../config/config.ts";

/** One Deployment, and the Secret of its identity. */
export type Sibling = { readonly name: string; readonly secretName: string };

/** A Deployment, as far as it says which Secret its tunnel has. */
type Live = {
  readonly metadata: { readonly name?: string };
  readonly [field: string]: unknown;
};
type Spec = {
  readonly template?: { readonly spec?: { readonly volumes?: readonly Volume[] } };
};
type Volume = { readonly name: string; readonly secret?: { readonly secretName?: string } };

const specOf = (deployment: Live): Spec => deployment["spec"] ?? {};

/** The volume of a gateway's first tunnel; one of several identities has no other. */
export const FIRST_VOLUME = "tunnel-0";

const secretOf = (deployment: Live): string | undefined =>
  specOf(deployment).template?.spec?.volumes?.find(({ name }) => name === FIRST_VOLUME)?.secret?.secretName;

/** The identities of the gateway: several only where it has one tunnel. */
export const identitiesOf = ({ tunnels }: Pick<PlacedGateway, "tunnels">): readonly string[] =>
  tunnels[0]?.secretNames ?? [];

/** Whether the gateway has several identities. */
export const hasSiblings = (gateway: Pick<PlacedGateway, "tunnels">): boolean => identitiesOf(gateway).length > 1;

/**
 * Which Deployment has which identity. A Deployment that has one of them keeps it. The others go to Deployments that lost theirs, and then to new
 * ones, by the first free name.
 */
export const siblingsOf = (gateway: PlacedGateway, deployments: readonly Live[]): readonly Sibling[] => {
  const names = siblingNames(gateway.name);
  const there = new Map(deployments.map((each) => [each.metadata.name ?? "", secretOf(each)] as const));
  const wanted = identitiesOf(gateway);
  const kept = new Map<string, string>();
  for (const [name, secretName] of there)
    if (secretName !== undefined && wanted.includes(secretName) && !kept.has(secretName)) kept.set(secretName, name);
  const taken = new Set(kept.values());
  const free = [...names.filter((name) => there.has(name)), ...names.filter((name) => !there.has(name))].filter(
    (name) => !taken.has(name),
  );
  const bound = wanted.map((secretName) => ({ secretName, name: kept.get(secretName) ?? (free.shift() as string) }));
  return bound.toSorted((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
};

/** The gateway as one Deployment has it: with this identity alone. */
export const asSibling = (gateway: PlacedGateway, { secretName }: Sibling): PlacedGateway => ({
  ...gateway,
  tunnels: gateway.tunnels.map((tunnel, index) => (index === 0 ? { ...tunnel, secretName } : tunnel)),
});
