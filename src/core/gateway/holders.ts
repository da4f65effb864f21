/** Gateways that run in a cluster, whoever made them, and the WireGuard identities that they hold. */
import { z } from "zod";
import type { PlacedGateway } from "../config/config.ts";
import { gatewayId, MANAGED_BY, MANAGER } from "../names.ts";

/** Of the pods of a gateway, the flowgen chart's own too. */
export const GATEWAY_COMPONENT = { "app.kubernetes.io/component": "wireguard-gateway" } as const;

/** As much of a Deployment as says which Secrets its pod mounts. */
const deploymentSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    labels: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.object({
    replicas: z.number().default(1),
    template: z.object({
      spec: z.object({
        volumes: z.array(z.looseObject({ secret: z.object({ secretName: z.string() }).optional() })).default([]),
      }),
    }),
  }),
});

export type GatewayFinding = {
  readonly reason: "orphan" | "identity-twice";
  readonly namespace: string;
  readonly name: string;
  readonly says: string;
};

/**
 * What is wrong with the Deployments of gateways: one of the webhook's that the config does not know, and two that mount the same Secret,
 * of which only one can be connected.
 */
export const gatewayFindings = (
  deployments: readonly unknown[],
  gateways: readonly PlacedGateway[],
): readonly GatewayFinding[] => {
  const known = new Set(gateways.map(gatewayId));
  const read = deployments.flatMap((each) => {
    const { success, data } = deploymentSchema.safeParse(each);
    return success ? [data] : [];
  });
  const orphans = read
    .filter(
      ({ metadata }) =>
        metadata.labels?.[MANAGED_BY] === MANAGER && !known.has(`${metadata.namespace}/${metadata.name}`),
    )
    .map(({ metadata: { name, namespace } }) => ({
      ...({ reason: "orphan", namespace, name } as const),
      says: "the config knows no such gateway: it is not kept, and its pod holds its WireGuard identity; flowgen-gateway remove takes it away",
    }));
  const holders = new Map<string, { readonly name: string; readonly namespace: string }[]>();
  for (const { metadata, spec } of read)
    for (const secret of spec.replicas > 0 ? secretsOf(spec.template.spec.volumes) : []) {
      const key = `${metadata.namespace}/${secret}`;
      holders.set(key, [...(holders.get(key) ?? []), metadata]);
    }
  const twice = [...holders].flatMap(([secret, all]) =>
    all.length < 2
      ? []
      : all.map(({ name, namespace }) => ({
          ...({ reason: "identity-twice", namespace, name } as const),
          says: `mounts the Secret ${secret}, as ${all
            .filter((other) => other.name !== name)
            .map((other) => other.name)
            .join(", ")} does: one pod only can hold a WireGuard identity; scale all but one to 0`,
        })),
  );
  return [...orphans, ...twice];
};

const secretsOf = (
  volumes: readonly { readonly secret?: { readonly secretName: string } | undefined }[],
): readonly string[] => [
  ...new Set(volumes.flatMap(({ secret }) => (secret === undefined ? [] : [secret.secretName]))),
];
