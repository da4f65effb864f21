/**
 * The forward table as it is stored, in two formats. A reader takes both and keeps fields that it does not know. A
 * newer format is left to a newer version. A writer takes the lowest format that holds the table's content. So the
 * version before can read it while nothing of format 2 is in use.
 */
import * as z from "zod";
import { perText } from "../memo.ts";
import { type Failure, fail, reject, type Rejection } from "../reasons.ts";
import { SELDOM, issueTexts, parseJson } from "../schema.ts";
import {
  type Forward,
  forwardSchema,
  hostKey,
  type HostService,
  hostServiceSchema,
  lineOf,
  retiredForwardSchema,
  serviceOf,
  type Table,
  targetKey,
} from "./table.ts";

/** The newest format that this version reads and writes. */
export const TABLE_FORMAT = 2;

const tableSchema = z.looseObject({
  version: z.int().min(1).max(TABLE_FORMAT),
  forwards: z.array(forwardSchema),
  services: z.array(hostServiceSchema).default([]),
  /** The last removed first. */
  retired: z.array(retiredForwardSchema).optional(),
  /** How often forwards were removed, or Services closed. */
  removals: z.int().min(0).optional(),
});
const formatOf = z.object({ version: z.int().min(1) });
/** The same with items that are read one by one. */
const listsSchema = tableSchema.extend({
  forwards: z.array(z.unknown()),
  services: z.array(z.unknown()).default([]),
});

/** Room for the items of some tables of the largest size. */
const ITEMS_BYTES = 4 * 1024 * 1024;
/** A table differs from the one before in a few items. An item whose text was read before is the same object again. */
const itemReader = <Item>(schema: z.ZodType<Item>): ((raw: unknown) => Item | undefined) => {
  const memo = perText<{ readonly item: Item | undefined }>(ITEMS_BYTES, (_, text) => 4 * text.length);
  return (raw) => memo(JSON.stringify(raw), () => ({ item: schema.safeParse(raw, SELDOM).data })).item;
};
const readForward = itemReader(forwardSchema);
const readService = itemReader(hostServiceSchema);

const areRead = <Item>(items: readonly (Item | undefined)[]): items is Item[] => !items.includes(undefined);

/** As the whole schema reads it, which also finds the words for what is wrong. */
const parseTable = (raw: unknown): z.ZodSafeParseResult<z.infer<typeof tableSchema>> => {
  const lists = listsSchema.safeParse(raw, SELDOM);
  const forwards = lists.data?.forwards.map(readForward) ?? [];
  const services = lists.data?.services.map(readService) ?? [];
  if (!lists.success || !areRead(forwards) || !areRead(services)) return tableSchema.safeParse(raw, SELDOM);
  return { success: true, data: { ...lists.data, forwards, services } };
};

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
  if (raw === undefined) return reject("table-invalid", `${where}: it is not JSON`);
  const parsed = parseTable(raw);
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
