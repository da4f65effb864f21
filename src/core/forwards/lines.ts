/**
 * Each of a gateway's Services carries its lines of the forward table in an annotation, which the policy of the
 * gateways' objects protects. When the table's ConfigMap is lost, the table is made of them again: whole, or not at
 * all.
 */
import * as z from "zod";
import { reject, type Failure, type Rejection } from "../reasons.ts";
import { parseJson } from "../schema.ts";
import { readTable, TABLE_FORMAT } from "./format.ts";
import { type Forward, type HostService, type Table, targetKey } from "./table.ts";

export const LINES_ANNOTATION = "flowgen.io/forwards";

/**
 * Of the 262,144 bytes that the annotations of an object may take. Beyond it the names of namespaces are left out: the
 * next admission writes them again.
 */
const MOST_BYTES = 200_000;

const plain = ({ unusedSince: _, ...forward }: Forward): Forward => forward;
const text = (forwards: readonly Forward[], more: object): string => {
  const all = JSON.stringify({ forwards: forwards.map(plain), ...more });
  if (all.length <= MOST_BYTES) return all;
  return JSON.stringify({ forwards: forwards.map(plain).map(({ namespaces: _, ...forward }) => forward), ...more });
};

/** The lines of the gateway's own Service: the forwards that it offers, and the names of all other Services. */
export const gatewayLines = ({ forwards, services }: Table): string =>
  text(
    forwards.filter(({ servicePort }) => servicePort !== undefined),
    { services: services.filter(({ isClosed }) => !isClosed).map(({ name }) => name) },
  );

/** The lines of a host's Service. */
export const hostLines = (forwards: readonly Forward[], { tunnel, host }: HostService): string =>
  text(forwards, { tunnel, host });

const gatewaySchema = z.object({ forwards: z.array(z.unknown()), services: z.array(z.string()) });
const hostSchema = z.object({ forwards: z.array(z.unknown()), tunnel: z.string(), host: z.string() });
const keySchema = z.object({ tunnel: z.string(), targetHost: z.string(), targetPort: z.number() });

/** A Service as it is in the cluster: its annotation, and the addresses that it has. */
export type LinedService = {
  readonly name: string;
  readonly lines: string | undefined;
  readonly clusterIPs: readonly string[];
};

/**
 * The table that the lines of all Services give. `own`: the gateway's own Service. `where` names the lost table in
 * messages.
 */
export const tableFromLines = (
  own: LinedService | undefined,
  hosts: readonly LinedService[],
  where: string,
): { readonly kind: "table"; readonly table: Table } | Rejection | Failure => {
  const lost = (why: string): Rejection => reject("table-invalid", `${where} is missing, and ${why}`);
  if (own === undefined) return lost("so is the gateway's Service");
  const read = gatewaySchema.safeParse(parseJson(own.lines ?? ""));
  if (!read.success) return lost(`Service ${own.name} does not carry its lines of the table`);
  const forwards = new Map<string, unknown>();
  const services: object[] = [];
  const add = (lines: readonly unknown[]): void => {
    for (const line of lines) {
      const { data } = keySchema.safeParse(line);
      forwards.set(
        data === undefined ? JSON.stringify(line) : targetKey(data.tunnel, data.targetHost, data.targetPort),
        line,
      );
    }
  };
  add(read.data.forwards);
  for (const name of read.data.services) {
    const service = hosts.find((host) => host.name === name);
    if (service === undefined) return lost(`so is Service ${name}`);
    const host = hostSchema.safeParse(parseJson(service.lines ?? ""));
    if (!host.success) return lost(`Service ${name} does not carry its lines of the table`);
    add(host.data.forwards);
    services.push({ name, tunnel: host.data.tunnel, host: host.data.host, clusterIPs: service.clusterIPs });
  }
  return readTable(JSON.stringify({ version: TABLE_FORMAT, forwards: [...forwards.values()], services }), where);
};
