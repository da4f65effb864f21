/** Names that a config may use once only. */
import { quote } from "../schema.ts";

type StaticForward = {
  readonly name: string;
  readonly port: number;
  readonly servicePort?: number | undefined;
  readonly targetHost: string;
  readonly targetPort: number;
};
type TunnelForwards = { readonly name: string; readonly portForwards: readonly StaticForward[] };

/**
 * Static forwards of one gateway that cannot all be had: they share the pod's ports, the Service's ports and its port
 * names.
 */
export const clashes = (tunnels: readonly TunnelForwards[]): [path: PropertyKey[], message: string][] => {
  const all = tunnels.flatMap((item, t) =>
    item.portForwards.map((forward, f) => ({ ...forward, tunnel: item.name, at: ["tunnels", t, "portForwards", f] })),
  );
  const keys: Record<string, (forward: (typeof all)[number]) => string> = {
    name: (forward) => forward.name,
    port: (forward) => String(forward.port),
    servicePort: (forward) => String(forward.servicePort ?? forward.port),
    targetHost: (forward) => `${forward.tunnel} ${forward.targetHost} ${forward.targetPort}`,
  };
  return Object.entries(keys).flatMap(([field, key]) =>
    all.flatMap((forward, index): [PropertyKey[], string][] => {
      const other = all.slice(0, index).find((earlier) => key(earlier) === key(forward));
      if (other === undefined) return [];
      return [
        [
          [...forward.at, field],
          `${quote(key(forward))} is taken by the forward ${quote(`${other.tunnel} ${other.name}`)}`,
        ],
      ];
    }),
  );
};
