import { fnv1a } from "./hash.ts";
import { perObject } from "./memo.ts";

/** The names that users, admins and other tools see. See README.md for what each means. */

export const MANAGER = "flowgen-gateway-webhook";
export const MANAGED_BY = "app.kubernetes.io/managed-by";

export const INSTANCE = "app.kubernetes.io/instance";
/** On the pods of a gateway's second and further Deployments, and in their selector: the Deployment's name. */
export const SIBLING_LABEL = "flowgen.io/sibling";
/** On a Deployment while another one of the gateway is changed, see gateway/roll.ts. */
export const ROLL_LABEL = "flowgen.io/roll";

/** On a gateway's Deployment and pods, as the flowgen chart labels those of its own gateway. */
export const COMPONENT = "app.kubernetes.io/component";
export const GATEWAY_COMPONENT = "wireguard-gateway";

export const annotation = {
  targets: "flowgen.io/private-targets",
  gateway: "flowgen.io/gateway",
  tunnel: "flowgen.io/tunnel",
  mode: "flowgen.io/mode",
  status: "flowgen.io/gateway-status",
  keepEnv: "flowgen.io/keep-env",
} as const;

export const GATEWAY_LABEL = "flowgen.io/gateway";
/** A pod that carries `<prefix><forward name>: "true"` is admitted to that forward by the gateway's NetworkPolicy. */
export const TARGET_LABEL_PREFIX = "target.flowgen.io/";

type Placed = { readonly name: string; readonly namespace: string; readonly clusterDomain?: string | undefined };

/**
 * The DNS name of a gateway's Service. Without a cluster domain it ends in `.svc`. That name resolves from any
 * namespace and in any cluster domain, by the search list of the pod's resolver.
 */
export const dnsName = ({ name, namespace, clusterDomain }: Placed): string =>
  `${name}.${namespace}.svc${clusterDomain === undefined ? "" : `.${clusterDomain}`}`;

/** All names of it: a pod that was redirected before the config had a cluster domain holds the short one. */
export const dnsNames = (service: Placed): readonly string[] => [
  ...new Set([dnsName(service), dnsName({ ...service, clusterDomain: undefined })]),
];

/**
 * The longest name of a gateway: what follows it in the name of a host's Service takes the rest of a label's 63
 * characters.
 */
export const LONGEST_GATEWAY_NAME = 54;
const LONGEST_LABEL = 63;

/** A free label of at most 63 characters: the wished one, or the wished one with the first free number, from 2 on. */
export const freeName = (wished: string, taken: { readonly has: (name: string) => boolean }): string => {
  let name = wished;
  for (let n = 2; taken.has(name); n += 1)
    name = `${wished.slice(0, LONGEST_LABEL - 1 - String(n).length).replace(/-+$/, "")}-${n}`;
  return name;
};

/**
 * The name of a host's own Service: `<gateway>-<host in letters, digits and ->-<hash of tunnel and host>`, a DNS-1035
 * label. The same address in two tunnels is two hosts.
 */
export const hostServiceName = (gateway: string, tunnel: string, host: string): string => {
  // It keeps names apart that are cut or spelled alike, and protects nothing.
  const hash = fnv1a(`${tunnel} ${host}`).toString(16).padStart(8, "0");
  const room = LONGEST_LABEL - gateway.length - hash.length - 2;
  const slug = host
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, Math.max(room, 0))
    .replace(/^-+|-+$/g, "");
  return slug === "" ? `${gateway}-${hash}` : `${gateway}-${slug}-${hash}`;
};

/** A gateway in the status, answers, log and metrics: `namespace/name`. Made once for each config's gateway. */
export const gatewayId = perObject(
  ({ namespace, name }: { readonly namespace: string; readonly name: string }): string => `${namespace}/${name}`,
);
