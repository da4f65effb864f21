import { z } from "zod";
import { forbiddenHost, readHost } from "../host.ts";
import { reject, type Rejection } from "../reasons.ts";
import { dnsLabel, issueTexts, parseJson, port, strict, tunnelName } from "../schema.ts";
import { address } from "../target.ts";

/** The lowest port that a process without privileges may listen on. */
export const FIRST_LISTEN_PORT = 1024;
export const LAST_PORT = 65535;
/** On this one the gateway's pod says that it is ready (forward.sh): no forward's. */
export const READY_PORT = LAST_PORT;

const forward = strict({
  name: dnsLabel,
  tunnel: tunnelName,
  targetHost: z.string().refine((host) => {
    const reading = readHost(host);
    return reading.kind !== "invalid" && reading.host === host && forbiddenHost(host) === undefined;
  }, "not a canonical host of a private server"),
  targetPort: port,
  listenPort: port.refine((value) => value >= FIRST_LISTEN_PORT, "below 1024"),
  servicePort: port,
  /** Set by the sweep when nothing used the forward any more (ISO 8601); an admission that uses it removes the mark. */
  unusedSince: z.string().optional(),
});
const tableSchema = strict({ version: z.literal(1), forwards: z.array(forward) });

/** Listen port + service port → target, through a tunnel. */
export type Forward = z.infer<typeof forward>;
/** All forwards of a gateway: the single source of truth. */
export type Table = z.infer<typeof tableSchema>;

export const emptyTable: Table = { version: 1, forwards: [] };

/** The ConfigMap's two keys: the truth, and made from it one line a forward for the scripts: `listenPort host port tunnel`. */
export const writeTable = (table: Table): { readonly "table.json": string; readonly forwards: string } => ({
  "table.json": `{"version":1,"forwards":[${table.forwards.map((item) => `\n  ${JSON.stringify(item)}`).join(",")}\n]}\n`,
  forwards: table.forwards
    .map((item) => `${item.listenPort} ${item.targetHost} ${item.targetPort} ${item.tunnel}\n`)
    .join(""),
});

/** Reads `table.json` back. Checked in full: someone may have edited it, and what runs in the gateway is made from it. */
export const readTable = (
  json: string,
  where: string,
): { readonly kind: "table"; readonly table: Table } | Rejection => {
  const parsed = tableSchema.safeParse(parseJson(json));
  if (!parsed.success) return reject("table-invalid", issueTexts(where, parsed.error, 3).join("; "));
  const { forwards } = parsed.data;
  const unique: Record<string, (item: Forward) => unknown> = {
    listenPort: (item) => item.listenPort,
    servicePort: (item) => item.servicePort,
    name: (item) => item.name,
    target: (item) => `${item.tunnel} ${address(item.targetHost, item.targetPort)}`,
  };
  const shared = Object.entries(unique).find(([, key]) => new Set(forwards.map(key)).size < forwards.length);
  if (shared !== undefined) return reject("table-invalid", `${where}: two forwards share a ${shared[0]}`);
  return { kind: "table", table: parsed.data };
};
