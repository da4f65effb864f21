import type { Gateway } from "../config/config.ts";
import { perObject } from "../memo.ts";
import type { Want } from "../plan.ts";
import { reject, type Rejection } from "../reasons.ts";
import { address, type Target } from "../target.ts";
import { type Allocator, allocatorOf } from "./allocator.ts";
import { type Forward, type Table, writeTable } from "./table.ts";

/** Of a ConfigMap's 1 MiB (core/v1 validation), with room for what stands around the forwards and for the sweep's marks. */
const MAX_BYTES = 900_000;

/** What a forward takes in the ConfigMap; all of it is ASCII. */
const bytesOf = perObject((item: Forward): number => {
  const written = writeTable({ forwards: [item], services: [] });
  return written["table.json"].length + written.forwards.length;
});

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
  const allocator = allocatorOf(table.forwards);
  const omitted: string[] = [];
  for (const tunnel of gateway.tunnels) {
    for (const item of tunnel.portForwards) {
      const servicePort = item.servicePort ?? item.port;
      const existing = allocator.find(tunnel.name, item.targetHost, item.targetPort);
      if (existing !== undefined) {
        if (existing.servicePort !== servicePort)
          omitted.push(`${tunnel.name}/${item.name}: its target has the service port ${existing.servicePort} already`);
        continue;
      }
      const added = allocator.add({ ...item, tunnel: tunnel.name, listenPort: item.port, servicePort, isFixed: true });
      if (added.kind !== "added") omitted.push(`${tunnel.name}/${item.name}: service port ${servicePort} is taken`);
    }
  }
  return { table: tableFrom(allocator, table), omitted };
};

/**
 * Gives every want a forward: the one that the target has, or a new one. All or nothing. The same table object comes back
 * when nothing had to change. The service port is the target's own when free, else the next free one; the listen port
 * likewise, from 1024 up. A mark of the sweep on a forward that is used again is removed.
 */
export const allocate = (table: Table, gateway: Gateway, wants: readonly Want[]): Allocation => {
  const known = givenAlready(table, wants);
  if (known !== undefined) return { kind: "allocated", table, given: known };
  const allocator = allocatorOf(table.forwards);
  const result = giveAll(allocator, gateway, wants);
  if (result.kind === "reject") return result;
  return { kind: "allocated", table: tableFrom(allocator, table), given: result.given };
};

/** `allocate` for requests one after another. One that is refused changes nothing for the others. */
export const allocateAll = (
  table: Table,
  gateway: Gateway,
  requests: readonly (readonly Want[])[],
): { readonly table: Table; readonly results: readonly (GivenAll | Rejection)[] } => {
  const allocator = allocatorOf(table.forwards);
  const results = requests.map((wants) => {
    const result = giveAll(allocator, gateway, wants);
    if (result.kind === "reject") allocator.undo();
    else allocator.keep();
    return result;
  });
  return { table: tableFrom(allocator, table), results };
};

const tableFrom = (allocator: Allocator, before: Table): Table =>
  allocator.isChanged() ? { ...before, forwards: [...allocator.forwards] } : before;

/** What the wants have, where nothing has to change; it is searched for, since for one request that is quicker than an allocator. */
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

const giveAll = (allocator: Allocator, gateway: Gateway, wants: readonly Want[]): GivenAll | Rejection => {
  const given: Given[] = [];
  for (const want of wants) {
    const forward = give(allocator, gateway, want);
    if ("kind" in forward) return forward;
    given.push({ target: want.target, forward });
  }
  return { kind: "given", given };
};

const give = (allocator: Allocator, gateway: Gateway, { target, tunnel }: Want): Forward | Rejection => {
  const existing = allocator.find(tunnel, target.host, target.port);
  if (existing !== undefined) {
    if (target.servicePort === undefined || target.servicePort === existing.servicePort) return allocator.use(existing);
    const what = address(target.host, target.port);
    return reject(
      "service-port-taken",
      `${target.name}: ${what} has the service port ${existing.servicePort} already, not ${target.servicePort}`,
    );
  }
  const { length } = allocator.forwards;
  if (length >= gateway.maxForwards) {
    return reject(
      "gateway-full",
      `${target.name}: ${gateway.name} holds ${length} forwards of at most ${gateway.maxForwards}`,
    );
  }
  const added = allocator.add({
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
    const isTooLarge = allocator.forwards.reduce((sum, item) => sum + bytesOf(item), 0) > MAX_BYTES;
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
