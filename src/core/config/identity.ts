/**
 * A WireGuard identity is a key of a Secret. Two pods that hold one of them throw each other out at the server, again
 * and again.
 */
import { gatewayId } from "../names.ts";
import { gatewayNameOf } from "./siblings.ts";
import { quote } from "../schema.ts";

type Keyed = { readonly name: string; readonly secretKey?: string | undefined };
type Identity = Keyed & { readonly secretNames: readonly string[] };
type Holder = {
  readonly enabled: boolean;
  readonly namespace?: string | undefined;
  readonly tunnels: readonly (Keyed & {
    /** Absent where the config is wrong there. */
    readonly secretNames?: readonly string[] | undefined;
  })[];
};

/** The key of a tunnel's Secret that holds its config. */
export const secretKeyOf = ({ name, secretKey }: Keyed): string => secretKey ?? `${name}.conf`;

/**
 * Tunnels that name the identity of an earlier one; a gateway without a namespace is in any, with a Secret of that
 * namespace.
 */
export const identityClashes = (gateways: readonly Holder[]): [path: PropertyKey[], message: string][] => {
  const first = new Map<string, string>();
  return gateways.flatMap(({ enabled, namespace = "", tunnels }, g) =>
    tunnels.flatMap(({ secretNames = [], ...tunnel }, t) =>
      secretNames.flatMap((secretName, s): [PropertyKey[], string][] => {
        if (!enabled) return [];
        const own = `gateways[${g}].tunnels[${t}]`;
        const key = `${namespace} ${secretName} ${secretKeyOf(tunnel)}`;
        const other = first.get(key);
        first.set(key, other ?? own);
        // Repeated within one tunnel: see tunnel.ts.
        if (other === undefined || other === own) return [];
        const what = `${quote(secretName)} with the key ${quote(secretKeyOf(tunnel))}`;
        const field = secretNames.length > 1 ? ["secretNames", s] : ["secretName"];
        return [
          [
            ["gateways", g, "tunnels", t, ...field],
            `${what} is the identity of ${other}, and one pod alone may hold it`,
          ],
        ];
      }),
    ),
  );
};

/** A Deployment, as far as it says which Secrets its pods mount. */
type Mounting = {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly spec?: { readonly volumes?: readonly Volume[] } };
  };
};
type Volume = {
  readonly secret?: { readonly secretName?: string; readonly items?: readonly { readonly key: string }[] };
};

const mounts = ({ secret }: Volume, tunnel: Keyed, secretName: string): boolean =>
  secret?.secretName === secretName &&
  (secret.items === undefined || secret.items.some(({ key }) => key === secretKeyOf(tunnel)));

/**
 * A Deployment other than the gateway's, whose pods mount a Secret of the name of one of its tunnels' (`holder`: its
 * namespace and name). It is one of before a change of name or a move, or the flowgen chart's own. Scaled to 0 it holds
 * nothing.
 */
export const identityHolder = (
  {
    name,
    namespace,
    tunnels,
  }: { readonly name: string; readonly namespace: string; readonly tunnels: readonly Identity[] },
  deployments: readonly object[],
): { readonly holder: string; readonly secretName: string } | undefined => {
  for (const { metadata, spec } of deployments as readonly Mounting[]) {
    const isOwn = metadata.namespace === namespace && gatewayNameOf({ metadata, spec }) === name;
    if (isOwn || spec?.replicas === 0) continue;
    const volumes = spec?.template?.spec?.volumes ?? [];
    const held = tunnels
      .flatMap((tunnel) => tunnel.secretNames.map((secretName) => ({ tunnel, secretName })))
      .find(({ tunnel, secretName }) => volumes.some((volume) => mounts(volume, tunnel, secretName)));
    if (held !== undefined) return { holder: gatewayId(metadata), secretName: held.secretName };
  }
  return undefined;
};
