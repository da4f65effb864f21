/** The forward table: its items, and the questions that are asked of it. Its texts are in format.ts. */
import ipaddr from "ipaddr.js";
import * as z from "zod";
import { forbiddenHost, readHost } from "../host.ts";
import { dnsLabel, port, tunnelName } from "../schema.ts";
import { address } from "../target.ts";
import { FIRST_LISTEN_PORT } from "./ports.ts";

const targetHost = z.string().refine((host) => {
  const reading = readHost(host);
  return reading.kind !== "invalid" && reading.host === host && forbiddenHost(host) === undefined;
}, "not a canonical host of a private server");

export const forwardSchema = z.looseObject({
  name: dnsLabel,
  tunnel: tunnelName,
  targetHost,
  targetPort: port,
  listenPort: port.refine((value) => value >= FIRST_LISTEN_PORT, "below 1024"),
  /** Its port at the gateway's own Service. Absent (format 2): the Service of the target's host alone offers it. */
  servicePort: port.optional(),
  /** Format 2: the NetworkPolicy with its rule (policies.ts). Absent: the first one. */
  policy: z.int().min(1).optional(),
  /** Format 2: the namespaces whose pods asked for it. */
  namespaces: z.array(z.string()).optional(),
  /** Set when no pod used the forward any more (ISO 8601). An admission that uses it removes the mark. */
  unusedSince: z.string().optional(),
});

/** Format 2: a Service for one host of one tunnel. It carries the target port of each of the host's forwards. */
export const hostServiceSchema = z.looseObject({
  name: dnsLabel,
  tunnel: tunnelName,
  host: targetHost,
  /** As the API server gave them, and asked for again when the Service is made again; empty until then. */
  clusterIPs: z.array(z.string().refine((ip) => ipaddr.isValid(ip), "not an IP address")),
  /** No pod used it any more: its object is deleted next, and a host that needs a Service meanwhile gets another one. */
  isClosed: z.literal(true).optional(),
});

/**
 * Format 2: the ports of a removed forward. Other targets get them only when no other port is left: a client that noted
 * the former address is refused, and reaches no other server.
 */
export const retiredForwardSchema = z.looseObject({
  tunnel: tunnelName,
  targetHost,
  targetPort: port,
  listenPort: port,
  servicePort: port.optional(),
});

/** The fields that this version knows. An object that was read keeps the others too. */
type Known<Item> = { readonly [Field in keyof Item as string extends Field ? never : Field]: Item[Field] };

/** Listen port → target, through a tunnel; offered at the gateway's Service, at its host's, or at both. */
export type Forward = Known<z.infer<typeof forwardSchema>>;
export type HostService = Known<z.infer<typeof hostServiceSchema>>;
export type RetiredForward = Known<z.infer<typeof retiredForwardSchema>>;
/** All forwards of a gateway: the single source of truth. `other`: fields of the document that this version does not know. */
export type Table = {
  readonly forwards: readonly Forward[];
  readonly services: readonly HostService[];
  readonly retired?: readonly RetiredForward[];
  readonly removals?: number;
  readonly other?: Readonly<Record<string, unknown>>;
};

export const emptyTable: Table = { forwards: [], services: [] };

/** A forward's line for the gateway's scripts. */
export const lineOf = ({ listenPort, targetHost, targetPort, tunnel }: Forward): string =>
  `${listenPort} ${targetHost} ${targetPort} ${tunnel}`;

/** A target in a tunnel: two tunnels may have servers of one address. */
export const targetKey = (tunnel: string, host: string, port: number): string => `${tunnel} ${address(host, port)}`;
export const hostKey = (tunnel: string, host: string): string => `${tunnel} ${host}`;

/** The Service of a target's host, where it has one of its own. */
export const serviceOf = ({ services }: Table, tunnel: string, host: string): HostService | undefined =>
  services.find((item) => item.tunnel === tunnel && item.host === host && item.isClosed === undefined);

/** The table with the cluster IPs that the Services have, by their names; the same table where it has them. */
export const withAddresses = (table: Table, addresses: ReadonlyMap<string, readonly string[]>): Table => {
  const services = table.services.map((service) => {
    const clusterIPs = addresses.get(service.name) ?? service.clusterIPs;
    return clusterIPs.join() === service.clusterIPs.join() ? service : { ...service, clusterIPs: [...clusterIPs] };
  });
  return services.every((service, index) => service === table.services[index]) ? table : { ...table, services };
};

/** The forwards to the host of a Service; a closed one has none. */
export const forwardsOf = (
  { forwards }: Pick<Table, "forwards">,
  { tunnel, host, isClosed }: HostService,
): readonly Forward[] =>
  isClosed ? [] : forwards.filter((item) => item.tunnel === tunnel && item.targetHost === host);
