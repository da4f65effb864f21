/** Gateways that run in a cluster, of the webhook and of other tools, and the WireGuard identities that they hold. */
import * as z from "zod";
import type { PlacedGateway } from "../config/config.ts";
import { identityHolder } from "../config/identity.ts";
import { gatewayPlaceOf } from "../config/siblings.ts";
import { listed } from "../message.ts";
import { gatewayId, MANAGED_BY, MANAGER } from "../names.ts";

const secretSchema = z.object({ secretName: z.string(), items: z.array(z.object({ key: z.string() })).optional() });

/** As much of a Deployment as says which Secrets its pod mounts. */
const deploymentSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    labels: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.object({
    replicas: z.number().default(1),
    selector: z.object({ matchLabels: z.record(z.string(), z.string()).optional() }).optional(),
    template: z.object({
      spec: z.object({
        volumes: z.array(z.looseObject({ secret: secretSchema.optional() })).default([]),
      }),
    }),
  }),
});

export type HolderFinding = {
  readonly reason: "orphan" | "identity-twice";
  readonly namespace: string;
  readonly name: string;
  readonly says: string;
};

/**
 * Faults of gateways' Deployments. One is a Deployment of the webhook's that the config does not know. The other is two
 * that mount the same Secret, of which only one can be connected.
 */
export const holderFindings = (
  deployments: readonly unknown[],
  gateways: readonly PlacedGateway[],
): readonly HolderFinding[] => {
  const known = new Set(gateways.map(gatewayId));
  const read = deployments.flatMap((each) => {
    const { success, data } = deploymentSchema.safeParse(each);
    return success ? [data] : [];
  });
  const orphans = read
    .filter(
      ({ metadata, spec }) =>
        metadata.labels?.[MANAGED_BY] === MANAGER && !known.has(gatewayId(gatewayPlaceOf({ metadata, spec }))),
    )
    .map((each) => {
      const { name, namespace } = each.metadata;
      const heir = gateways.find((gateway) => identityHolder(gateway, [each]) !== undefined);
      const whose =
        heir === undefined ? "its WireGuard identity" : `a Secret of the name that ${gatewayId(heir)} mounts`;
      return {
        ...({ reason: "orphan", namespace, name } as const),
        says: `the config knows no such gateway: it is not kept, and its pod holds ${whose}; flowgen-gateway remove takes it away`,
      };
    });
  const holders = read.flatMap(({ metadata, spec }) => {
    const { volumes } = spec.template.spec;
    const secrets = volumes.flatMap(({ secret }) => (secret === undefined ? [] : [secret]));
    return spec.replicas > 0 ? [{ ...metadata, secrets }] : [];
  });
  const twice = holders.flatMap(({ namespace, name, secrets }) => {
    const others = holders.filter((other) => other.namespace === namespace && other.name !== name);
    const shared = secrets.find((secret) => others.some((other) => other.secrets.some((each) => isSame(each, secret))));
    if (shared === undefined) return [];
    const names = others
      .filter((other) => other.secrets.some((each) => isSame(each, shared)))
      .map((other) => other.name);
    return {
      ...({ reason: "identity-twice", namespace, name } as const),
      says:
        `mounts the Secret ${namespace}/${shared.secretName}, as ${listed(names)} does: one pod only can hold a WireGuard identity; ` +
        "scale all but one to 0",
    };
  });
  return [...orphans, ...twice];
};

type MountedSecret = z.infer<typeof secretSchema>;

/** Whether two volumes may bring the same key of the same Secret; without `items` a volume brings all. */
const isSame = (a: MountedSecret, b: MountedSecret): boolean =>
  a.secretName === b.secretName &&
  (a.items === undefined ||
    b.items === undefined ||
    a.items.some(({ key }) => b.items?.some((item) => item.key === key)));
