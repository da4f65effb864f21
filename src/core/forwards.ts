import { z } from "zod";
import type { Gateway } from "./config.ts";
import type { Want } from "./plan.ts";
import { forbiddenHost, readHost } from "./host.ts";
import { reject, type Rejection } from "./reasons.ts";
import { dnsLabel, issueTexts, parseJson, port, strict } from "./schema.ts";
import { address, type Target } from "./target.ts";

/** The lowest port that a process without privileges may listen on. */
const FIRST_LISTEN_PORT = 1024;

const forward = strict({
  name: dnsLabel,
  tunnel: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_=+.-]{0,14}$/),
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

/** A target and the forward that it has. */
export type Given = { readonly target: Target; readonly forward: Forward };

type Allocation =
  | {
      readonly kind: "allocated";
      readonly table: Table;
      /** One per want, in its order. */ readonly given: readonly Given[];
    }
  | Rejection;

const isFor = (item: Forward, tunnel: string, host: string, targetPort: number): boolean =>
  item.targetPort === targetPort && item.targetHost === host && item.tunnel === tunnel;

/** The first free number from `wished` up to 65535, then from `lowest` up; undefined when every one is taken. */
const nextFree = (taken: ReadonlySet<number>, wished: number, lowest: number): number | undefined => {
  const start = Math.max(wished, lowest);
  for (let candidate = start; candidate <= 65535; candidate += 1) if (!taken.has(candidate)) return candidate;
  for (let candidate = lowest; candidate < start; candidate += 1) if (!taken.has(candidate)) return candidate;
  return undefined;
};

const freeName = (taken: ReadonlySet<string>, wished: string): string => {
  let name = wished;
  for (let n = 2; taken.has(name); n += 1) name = `${wished.slice(0, 62 - String(n).length).replace(/-+$/, "")}-${n}`;
  return name;
};

type Entry = {
  readonly name: string;
  readonly tunnel: string;
  readonly targetHost: string;
  readonly targetPort: number;
  readonly listenPort: number;
  readonly servicePort: number;
  /** The service port was asked for by number: another one will not do. */
  readonly isFixed: boolean;
};

type Added =
  | { readonly kind: "added"; readonly forward: Forward }
  | { readonly kind: "taken"; readonly by: Forward }
  | { readonly kind: "full" };

const add = (forwards: readonly Forward[], entry: Entry): Added => {
  const holder = entry.isFixed ? forwards.find((item) => item.servicePort === entry.servicePort) : undefined;
  if (holder !== undefined) return { kind: "taken", by: holder };
  const servicePorts = new Set(forwards.map((item) => item.servicePort));
  const servicePort = nextFree(
    servicePorts,
    entry.servicePort,
    entry.servicePort < FIRST_LISTEN_PORT ? 1 : FIRST_LISTEN_PORT,
  );
  const listenPort = nextFree(new Set(forwards.map((item) => item.listenPort)), entry.listenPort, FIRST_LISTEN_PORT);
  if (servicePort === undefined || listenPort === undefined) return { kind: "full" };
  const name = freeName(new Set(forwards.map((item) => item.name)), entry.name);
  const { tunnel, targetHost, targetPort } = entry;
  return { kind: "added", forward: { name, tunnel, targetHost, targetPort, listenPort, servicePort } };
};

/**
 * The table with the config's static forwards in it. One that cannot be had because an earlier forward holds its service
 * port is left out and named: a port that a running pod uses is never given to another target.
 */
export const withStaticForwards = (
  table: Table,
  gateway: Gateway,
): { readonly table: Table; readonly omitted: readonly string[] } => {
  const forwards = [...table.forwards];
  const omitted: string[] = [];
  for (const tunnel of gateway.tunnels) {
    for (const item of tunnel.portForwards) {
      const servicePort = item.servicePort ?? item.port;
      const existing = forwards.find((other) => isFor(other, tunnel.name, item.targetHost, item.targetPort));
      if (existing !== undefined) {
        if (existing.servicePort !== servicePort)
          omitted.push(`${tunnel.name}/${item.name}: its target has the service port ${existing.servicePort} already`);
        continue;
      }
      const added = add(forwards, { ...item, tunnel: tunnel.name, listenPort: item.port, servicePort, isFixed: true });
      if (added.kind === "added") forwards.push(added.forward);
      else omitted.push(`${tunnel.name}/${item.name}: service port ${servicePort} is taken`);
    }
  }
  return { table: forwards.length === table.forwards.length ? table : { version: 1, forwards }, omitted };
};

/**
 * Gives every want a forward: the one that the target has, or a new one. All or nothing. The same table object comes back
 * when nothing had to change. The service port is the target's own when free, else the next free one; the listen port
 * likewise, from 1024 up. A mark of the sweep on a forward that is used again is removed.
 */
export const allocate = (table: Table, gateway: Gateway, wants: readonly Want[]): Allocation => {
  const forwards = [...table.forwards];
  const given: Given[] = [];
  let isChanged = false;
  for (const { target, tunnel } of wants) {
    const what = address(target.host, target.port);
    const at = forwards.findIndex((item) => isFor(item, tunnel, target.host, target.port));
    const existing = forwards[at];
    if (existing !== undefined) {
      if (target.servicePort !== undefined && target.servicePort !== existing.servicePort) {
        return reject(
          "service-port-taken",
          `${target.name}: ${what} has the service port ${existing.servicePort} already, not ${target.servicePort}`,
        );
      }
      const { unusedSince, ...used } = existing;
      if (unusedSince !== undefined) [forwards[at], isChanged] = [used, true];
      given.push({ target, forward: used });
      continue;
    }
    if (forwards.length >= gateway.maxForwards) {
      return reject(
        "gateway-full",
        `${target.name}: ${gateway.name} holds ${forwards.length} forwards of at most ${gateway.maxForwards}`,
      );
    }
    const added = add(forwards, {
      name: target.name,
      tunnel,
      targetHost: target.host,
      targetPort: target.port,
      listenPort: target.port,
      servicePort: target.servicePort ?? target.port,
      isFixed: target.servicePort !== undefined,
    });
    if (added.kind === "taken") {
      return reject(
        "service-port-taken",
        `${target.name}.servicePort: ${added.by.servicePort} leads to the target of ${added.by.name}`,
      );
    }
    if (added.kind === "full") return reject("gateway-full", `${target.name}: no port is free`);
    forwards.push(added.forward);
    given.push({ target, forward: added.forward });
    isChanged = true;
  }
  return { kind: "allocated", table: isChanged ? { version: 1, forwards } : table, given };
};
