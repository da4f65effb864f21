import { z } from "zod";
import type { Gateway } from "./config.ts";
import { type Draft, draftOf, FIRST_LISTEN_PORT } from "./table-draft.ts";
import type { Want } from "./plan.ts";
import { forbiddenHost, readHost } from "./host.ts";
import { perObject } from "./memo.ts";
import { reject, type Rejection } from "./reasons.ts";
import { dnsLabel, issueTexts, parseJson, port, strict, tunnelName } from "./schema.ts";
import { address, type Target } from "./target.ts";

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

/** Of a ConfigMap's 1 MiB (core/v1 validation), with room for what stands around the forwards and for the sweep's marks. */
const MAX_BYTES = 900_000;

/** What a forward takes in the ConfigMap; all of it is ASCII. */
const bytesOf = perObject((item: Forward): number => {
  const written = writeTable({ version: 1, forwards: [item] });
  return written["table.json"].length + written.forwards.length;
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

/** One per want, in its order. */
export type GivenAll = { readonly kind: "given"; readonly given: readonly Given[] };

type Allocation = { readonly kind: "allocated"; readonly table: Table; readonly given: GivenAll["given"] } | Rejection;

/**
 * The table with the config's static forwards in it. One that cannot be had because an earlier forward holds its service
 * port is left out and named: a port that a running pod uses is never given to another target.
 */
export const withStaticForwards = (
  table: Table,
  gateway: Gateway,
): { readonly table: Table; readonly omitted: readonly string[] } => {
  const draft = draftOf(table.forwards);
  const omitted: string[] = [];
  for (const tunnel of gateway.tunnels) {
    for (const item of tunnel.portForwards) {
      const servicePort = item.servicePort ?? item.port;
      const existing = draft.find(tunnel.name, item.targetHost, item.targetPort);
      if (existing !== undefined) {
        if (existing.servicePort !== servicePort)
          omitted.push(`${tunnel.name}/${item.name}: its target has the service port ${existing.servicePort} already`);
        continue;
      }
      const added = draft.add({ ...item, tunnel: tunnel.name, listenPort: item.port, servicePort, isFixed: true });
      if (added.kind !== "added") omitted.push(`${tunnel.name}/${item.name}: service port ${servicePort} is taken`);
    }
  }
  return { table: tableOf(draft, table), omitted };
};

/**
 * Gives every want a forward: the one that the target has, or a new one. All or nothing. The same table object comes back
 * when nothing had to change. The service port is the target's own when free, else the next free one; the listen port
 * likewise, from 1024 up. A mark of the sweep on a forward that is used again is removed.
 */
export const allocate = (table: Table, gateway: Gateway, wants: readonly Want[]): Allocation => {
  const known = givenAlready(table, wants);
  if (known !== undefined) return { kind: "allocated", table, given: known };
  const draft = draftOf(table.forwards);
  const result = giveAll(draft, gateway, wants);
  if (result.kind === "reject") return result;
  return { kind: "allocated", table: tableOf(draft, table), given: result.given };
};

/** `allocate` for requests one after another. One that is refused changes nothing for the others. */
export const allocateAll = (
  table: Table,
  gateway: Gateway,
  requests: readonly (readonly Want[])[],
): { readonly table: Table; readonly results: readonly (GivenAll | Rejection)[] } => {
  const draft = draftOf(table.forwards);
  const results = requests.map((wants) => {
    const result = giveAll(draft, gateway, wants);
    if (result.kind === "reject") draft.undo();
    else draft.keep();
    return result;
  });
  return { table: tableOf(draft, table), results };
};

const tableOf = (draft: Draft, before: Table): Table =>
  draft.isChanged() ? { version: 1, forwards: [...draft.forwards] } : before;

/** What the wants have, where nothing has to change; it is searched for, since for one request that is quicker than a draft. */
const givenAlready = ({ forwards }: Table, wants: readonly Want[]): readonly Given[] | undefined => {
  const given: Given[] = [];
  for (const { target, tunnel } of wants) {
    const forward = forwards.find(
      (item) => item.targetPort === target.port && item.targetHost === target.host && item.tunnel === tunnel,
    );
    if (forward === undefined || forward.unusedSince !== undefined) return undefined;
    if (target.servicePort !== undefined && target.servicePort !== forward.servicePort) return undefined;
    given.push({ target, forward });
  }
  return given;
};

const giveAll = (draft: Draft, gateway: Gateway, wants: readonly Want[]): GivenAll | Rejection => {
  const given: Given[] = [];
  for (const want of wants) {
    const forward = give(draft, gateway, want);
    if ("kind" in forward) return forward;
    given.push({ target: want.target, forward });
  }
  return { kind: "given", given };
};

const give = (draft: Draft, gateway: Gateway, { target, tunnel }: Want): Forward | Rejection => {
  const existing = draft.find(tunnel, target.host, target.port);
  if (existing !== undefined) {
    if (target.servicePort === undefined || target.servicePort === existing.servicePort) return draft.use(existing);
    const what = address(target.host, target.port);
    return reject(
      "service-port-taken",
      `${target.name}: ${what} has the service port ${existing.servicePort} already, not ${target.servicePort}`,
    );
  }
  const { length } = draft.forwards;
  if (length >= gateway.maxForwards) {
    return reject(
      "gateway-full",
      `${target.name}: ${gateway.name} holds ${length} forwards of at most ${gateway.maxForwards}`,
    );
  }
  const added = draft.add({
    name: target.name,
    tunnel,
    targetHost: target.host,
    targetPort: target.port,
    listenPort: target.port,
    servicePort: target.servicePort ?? target.port,
    isFixed: target.servicePort !== undefined,
  });
  if (added.kind === "added") {
    // The API server would refuse the whole write, and with it everybody who shares it.
    const isTooLarge = draft.forwards.reduce((sum, item) => sum + bytesOf(item), 0) > MAX_BYTES;
    return isTooLarge
      ? reject("gateway-full", `${target.name}: the ConfigMap of ${gateway.name}'s forward table is full`)
      : added.forward;
  }
  return added.kind === "full"
    ? reject("gateway-full", `${target.name}: no port is free`)
    : reject(
        "service-port-taken",
        `${target.name}.servicePort: ${added.by.servicePort} leads to the target of ${added.by.name}`,
      );
};
