/** The WireGuard identities in the Secrets of gateways. A private key is read, compared, and never shown. */
import type { KubeObject } from "../cluster/cluster.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { secretKeyOf } from "../core/config/identity.ts";
import { type Finding, findingsOf, NO_OBJECT, type Seen } from "./finding.ts";
import { dataOf } from "./objects.ts";

const say = findingsOf("gateway");

/** A gateway with its Secrets, by name. */
export type TunnelSecrets = {
  readonly gateway: PlacedGateway;
  readonly secrets: ReadonlyMap<string, Seen<KubeObject | undefined>>;
};

/** Every identity of a gateway. */
export const identitiesIn = ({ tunnels }: PlacedGateway) =>
  tunnels.flatMap((tunnel) => tunnel.secretNames.map((secretName) => ({ tunnel, secretName })));

/** The private key in a Secret, if it was read: the format is that of normalise.sh. */
export const privateKeyOf = (
  tunnel: PlacedGateway["tunnels"][number],
  secretName: string,
  secrets: TunnelSecrets["secrets"],
): string | undefined => {
  const secret = secrets.get(secretName);
  const text = secret?.kind === "seen" && secret.value !== undefined ? dataOf(secret.value)[secretKeyOf(tunnel)] : "";
  return /^\s*PrivateKey\s*[=:]\s*(\S+)/im.exec(Buffer.from(text ?? "", "base64").toString())?.[1];
};

/** Tunnels whose Secrets hold one private key. The key is compared, and never shown. */
export const sharedKeyFindings = (sights: readonly TunnelSecrets[]): readonly Finding[] => {
  const holders = new Map<string, string>();
  return sights.flatMap(({ gateway, secrets }) =>
    identitiesIn(gateway).flatMap(({ tunnel, secretName }) => {
      const key = privateKeyOf(tunnel, secretName, secrets);
      if (key === undefined) return [];
      const own = `Secret ${gateway.namespace}/${secretName}, key ${secretKeyOf(tunnel)}`;
      const other = holders.get(key) ?? own;
      holders.set(key, other);
      return other === own ? [] : [say.fault("identity-twice", own, `its private key is that of ${other}`, NO_OBJECT)];
    }),
  );
};
