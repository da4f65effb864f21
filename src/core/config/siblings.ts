/** The names that a gateway of several identities takes beside its own. */
import { READY_PORT } from "../forwards/ports.ts";
import { INSTANCE, SIBLING_LABEL } from "../names.ts";
import { quote } from "../schema.ts";

/** A gateway has so many identities at most. */
export const MOST_IDENTITIES = 4;
/** The ends of the names of its Deployments, after the gateway's name. */
const SUFFIXES = ["", "-b", "-c", "-d"];

/** The names that a gateway's Deployments may have, that of the first one first. */
export const siblingNames = (gateway: string): readonly string[] => SUFFIXES.map((suffix) => `${gateway}${suffix}`);

/** The Service by which a gateway's pods find each other. */
export const podsName = ({ name }: { readonly name: string }): string => `${name}-pods`;

type SeveralTunnels = readonly {
  /** Absent where the config is wrong there. */
  readonly secretNames?: readonly string[] | undefined;
  readonly portForwards: readonly { readonly port: number; readonly servicePort?: number | undefined }[];
}[];

/** Tunnels and forwards that a gateway cannot have beside several identities. */
export const identityProblems = (tunnels: SeveralTunnels): [path: PropertyKey[], message: string][] =>
  tunnels.flatMap(({ secretNames = [], portForwards }, at): [PropertyKey[], string][] => {
    if (secretNames.length < 2) return [];
    const alone: [PropertyKey[], string][] =
      tunnels.length === 1
        ? []
        : [
            [
              ["tunnels", at, "secretNames"],
              "a gateway of several identities has one tunnel: make this tunnel a gateway of its own",
            ],
          ];
    const hidden = portForwards.flatMap(({ port, servicePort = port }, f): [PropertyKey[], string][] =>
      servicePort === READY_PORT
        ? [
            [
              ["tunnels", at, "portForwards", f, "servicePort"],
              `${READY_PORT} is the port by which the gateway's pods ask for each other: write another one`,
            ],
          ]
        : [],
    );
    return [...alone, ...hidden];
  });

type Named = {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly tunnels: readonly { readonly secretNames?: readonly string[] | undefined }[];
};

/** Gateways whose name another gateway's Deployments or Service may take. A gateway without a namespace is in any. */
export const siblingClashes = (gateways: readonly Named[]): [path: PropertyKey[], message: string][] =>
  gateways.flatMap((gateway, index) =>
    gateways.flatMap((other, at): [PropertyKey[], string][] => {
      const isApart =
        gateway.namespace !== undefined && other.namespace !== undefined && gateway.namespace !== other.namespace;
      if (at === index || isApart || (other.tunnels[0]?.secretNames ?? []).length < 2) return [];
      const names = [...siblingNames(other.name), podsName(other)];
      if (gateway.name === other.name || !names.includes(gateway.name)) return [];
      const message = `${quote(gateway.name)} is the name of an object of gateways[${at}], which has several identities: rename one of them`;
      return [[["gateways", index, "name"], message]];
    }),
  );

/** A Deployment, as far as it says whose it is. */
type Selecting = { readonly metadata: { readonly name?: string }; readonly [field: string]: unknown };

/** The name of the gateway whose Deployment this is. Labels may be changed; a selector never is. */
export const gatewayNameOf = ({ metadata, ...rest }: Selecting): string => {
  type Spec = { readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> } };
  const { matchLabels = {} } = { ...(rest["spec"] as Spec | undefined)?.selector };
  const { [SIBLING_LABEL]: sibling, [INSTANCE]: gateway = "" } = matchLabels;
  return sibling === undefined ? (metadata.name ?? "") : gateway;
};

/** The place of the gateway whose Deployment this is. */
export const gatewayPlaceOf = (
  deployment: Selecting & { readonly metadata: { readonly namespace: string } },
): { readonly name: string; readonly namespace: string } => ({
  name: gatewayNameOf(deployment),
  namespace: deployment.metadata.namespace,
});
