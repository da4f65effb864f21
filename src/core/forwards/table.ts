/**
 * The forward table as it is stored, in two formats. A reader takes both and keeps fields that it does not know. A
 * newer format is left to a newer version. A writer takes the lowest format that holds the table's content. So the
 * version before can read it while nothing of format 2 is in use.
 */
import ipaddr from "ipaddr.js";
import * as z from "zod";
import { forbiddenHost, readHost } from "../host.ts";
import { type Failure, fail, reject, type Rejection } from "../reasons.ts";
import { SELDOM, dnsLabel, issueTexts, parseJson, port, tunnelName } from "../schema.ts";
import { address } from "../target.ts";

/** The newest format that this version reads and writes. */
export const TABLE_FORMAT = 2;

/** The lowest port that a process without privileges may listen on. */
export const FIRST_LISTEN_PORT = 1024;
export const LAST_PORT = 65535;
/** The gateway's pod listens here while it is ready (forward.sh): no forward's port. */
export const READY_PORT = LAST_PORT;
/** The gateway's pod answers here with its metrics (metrics.sh): no forward's port either. */
export const METRICS_PORT = LAST_PORT - 1;
export const LAST_LISTEN_PORT = METRICS_PORT - 1;

const targetHost = z.string().refine((host) => {
  const reading = readHost(host);
  return reading.kind !== "invalid" && reading.host === host && forbiddenHost(host) === undefined;
}, "not a canonical host of a private server");

const forward = z.looseObject({
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
const hostService = z.looseObject({
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
const retiredForward = z.looseObject({
  tunnel: tunnelName,
  targetHost,
  targetPort: port,
  listenPort: port,
  servicePort: port.optional(),
});

const tableSchema = z.looseObject({
  version: z.int().min(1).max(TABLE_FORMAT),
  forwards: z.array(forward),
  services: z.array(hostService).default([]),
  /** The last removed first. */
  retired: z.array(retiredForward).optional(),
  /** How often forwards were removed, or Services closed. */
  removals: z.int().min(0).optional(),
});
const formatOf = z.object({ version: z.int().min(1) });

/** The fields that this version knows. An object that was read keeps the others too. */
type Known<Item> = { readonly [Field in keyof Item as string extends Field ? never : Field]: Item[Field] };

/** Listen port → target, through a tunnel; offered at the gateway's Service, at its host's, or at both. */
export type Forward = Known<z.infer<typeof forward>>;
export type HostService = Known<z.infer<typeof hostService>>;
export type RetiredForward = Known<z.infer<typeof retiredForward>>;
/** All forwards of a gateway: the single source of truth. `other`: fields of the document that this version does not know. */
export type Table = {
  readonly forwards: readonly Forward[];
  readonly services: readonly HostService[];
  readonly retired?: readonly RetiredForward[];
  readonly removals?: number;
  readonly other?: Readonly<Record<string, unknown>>;
};

export const emptyTable: Table = { forwards: [], services: [] };

const FIELDS_OF_FORMAT_1 = new Set([
  "name",
  "tunnel",
  "targetHost",
  "targetPort",
  "listenPort",
  "servicePort",
  "unusedSince",
]);

const isFormat1 = ({ forwards, services, retired, removals, other }: Table): boolean =>
  services.length === 0 &&
  retired === undefined &&
  removals === undefined &&
  other === undefined &&
  forwards.every(
    (item) => item.servicePort !== undefined && Object.keys(item).every((field) => FIELDS_OF_FORMAT_1.has(field)),
  );

const lines = (items: readonly unknown[]): string =>
  `[${items.map((item) => `\n  ${JSON.stringify(item)}`).join(",")}\n]`;

const tableJson = (table: Table): string => {
  const { forwards, services, retired, removals, other = {} } = table;
  if (isFormat1(table)) return `{"version":1,"forwards":${lines(forwards)}}\n`;
  const rest = Object.entries(other).map(([field, value]) => `,${JSON.stringify(field)}:${JSON.stringify(value)}`);
  const count = removals === undefined ? "" : `,"removals":${removals}`;
  const last = `${retired === undefined ? "" : `,"retired":${lines(retired)}`}${count}`;
  return `{"version":${TABLE_FORMAT},"forwards":${lines(forwards)},"services":${lines(services)}${last}${rest.join("")}}\n`;
};

/** A forward's line for the gateway's scripts. */
export const lineOf = ({ listenPort, targetHost, targetPort, tunnel }: Forward): string =>
  `${listenPort} ${targetHost} ${targetPort} ${tunnel}`;

/**
 * The ConfigMap's two keys: `table.json`, and made from it `forwards` for the gateway's scripts, one line a forward that is served:
 * `listenPort host port tunnel`. A forward that is not served keeps its place in `table.json`.
 */
export const writeTable = (
  table: Table,
  isServed: (forward: Forward) => boolean,
): { readonly "table.json": string; readonly forwards: string } => ({
  "table.json": tableJson(table),
  forwards: table.forwards
    .filter(isServed)
    .map((item) => `${lineOf(item)}\n`)
    .join(""),
});

/** A target in a tunnel: two tunnels may have servers of one address. */
export const targetKey = (tunnel: string, host: string, port: number): string => `${tunnel} ${address(host, port)}`;
export const hostKey = (tunnel: string, host: string): string => `${tunnel} ${host}`;

type Unique<Item> = Readonly<Record<string, (item: Item) => string | number | undefined>>;
const FORWARDS_DIFFER: Unique<Forward> = {
  listenPort: (item) => item.listenPort,
  servicePort: (item) => item.servicePort,
  name: (item) => item.name,
  target: (item) => targetKey(item.tunnel, item.targetHost, item.targetPort),
};
const SERVICES_DIFFER: Unique<HostService> = {
  name: (item) => item.name,
  host: (item) => (item.isClosed ? undefined : hostKey(item.tunnel, item.host)),
};

/** The field in which two of the items are the same; `undefined`: each is the only one. */
const sharedField = <Item>(items: readonly Item[], unique: Unique<Item>): string | undefined =>
  Object.entries(unique).find(([, key]) => {
    const values = items.map(key).filter((value) => value !== undefined);
    return new Set(values).size < values.length;
  })?.[0];

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

/** A fault that the schema of one item cannot see; `undefined`: there is none. */
const inconsistency = (version: number, table: Table): string | undefined => {
  const unserved = table.forwards.findIndex(
    ({ servicePort, tunnel, targetHost: host }) =>
      servicePort === undefined && (version === 1 || serviceOf(table, tunnel, host) === undefined),
  );
  if (unserved >= 0) return `.forwards[${unserved}].servicePort: is missing, and the host has no Service of its own`;
  const forwardField = sharedField(table.forwards, FORWARDS_DIFFER);
  if (forwardField !== undefined) return `: two forwards share a ${forwardField}`;
  const serviceField = sharedField(table.services, SERVICES_DIFFER);
  return serviceField === undefined ? undefined : `: two services share a ${serviceField}`;
};

/**
 * Reads `table.json`. Everything in it is checked: a person may have edited it, and the gateway's scripts run by it. `where` names
 * the object in messages. A newer format is a failure and no refusal: a newer version of the webhook answers the pod's next try.
 */
export const readTable = (
  json: string,
  where: string,
): { readonly kind: "table"; readonly table: Table } | Rejection | Failure => {
  const raw = parseJson(json);
  const format = formatOf.safeParse(raw);
  if (format.success && format.data.version > TABLE_FORMAT)
    return fail("format-newer", `${where} has format ${format.data.version}, this version reads up to ${TABLE_FORMAT}`);
  const parsed = tableSchema.safeParse(raw, SELDOM);
  if (!parsed.success) return reject("table-invalid", issueTexts(where, parsed.error, 3).join("; "));
  const { version, forwards, services, retired, removals, ...other } = parsed.data;
  const table = {
    forwards,
    services,
    ...(retired && { retired }),
    ...(removals !== undefined && { removals }),
    ...(Object.keys(other).length > 0 && { other }),
  };
  const wrong = inconsistency(version, table);
  return wrong === undefined ? { kind: "table", table } : reject("table-invalid", `${where}${wrong}`);
};
