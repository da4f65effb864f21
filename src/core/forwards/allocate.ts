/**
 * Gives targets their forwards and Services. Every target keeps its own port. The gateway's own Service is the first
 * address. The target's host gets a Service of its own where another forward has the port there, or where a pod needs
 * one. That Service carries all ports of the host. So other pods' earlier requests never decide whether a pod is
 * served.
 */
import type { PlacedGateway } from "../config/config.ts";
import { hostServiceName } from "../names.ts";
import { reject, type Rejection } from "../reasons.ts";
import { address, type Want } from "../target.ts";
import { type Allocator, allocatorOf, bytesOf } from "./allocator.ts";
import { hasRoomForNames, lacksName, shareProblem } from "./shares.ts";
import { READY_PORT } from "./ports.ts";
import { type Forward, type HostService, serviceOf, type Table } from "./table.ts";

/**
 * Of a ConfigMap's 1 MiB (core/v1 validation), with room for the marks of unused forwards and the Services' addresses.
 */
const MAX_BYTES = 900_000;

/** A want, its forward, and the Service of its host where it has one. */
export type Given = { readonly want: Want; readonly forward: Forward; readonly service?: HostService };

/** One per want, in its order. */
export type GivenAll = { readonly kind: "given"; readonly given: readonly Given[] };

/** The targets of one pod, and what else may refuse it once they are given. */
export type Claim = {
  readonly wants: readonly Want[];
  /** A reason to refuse the pod with these forwards; it is then given none. */
  readonly objection?: (given: readonly Given[]) => Rejection | undefined;
};

export type Allocation = { readonly table: Table; readonly results: readonly (GivenAll | Rejection)[] };

/**
 * The table with the config's static forwards. A static forward is left out and named where an earlier forward has its
 * service port. One whose `port` alone changed stays as it is, and is named. A port that a running pod uses is never given to another target.
 */
export const withStaticForwards = (
  table: Table,
  gateway: PlacedGateway,
): { readonly table: Table; readonly omitted: readonly string[] } => {
  if (gateway.tunnels.every(({ portForwards }) => portForwards.length === 0)) return { table, omitted: [] };
  const allocator = allocatorOf(table);
  const omitted: string[] = [];
  for (const tunnel of gateway.tunnels) {
    for (const item of tunnel.portForwards) {
      const servicePort = item.servicePort ?? item.port;
      const existing = allocator.find(tunnel.name, item.targetHost, item.targetPort);
      if (existing?.servicePort === servicePort) {
        if (isOnlyMoved(allocator.forwards, existing, item.port))
          omitted.push(
            `${tunnel.name}/${item.name}: the pod listens on ${existing.listenPort} already, and not on ${item.port}`,
          );
      } else if (existing?.servicePort !== undefined)
        omitted.push(`${tunnel.name}/${item.name}: its target has the service port ${existing.servicePort} already`);
      else if (allocator.holderOf(servicePort) !== undefined)
        omitted.push(`${tunnel.name}/${item.name}: service port ${servicePort} is taken`);
      else if (existing !== undefined) allocator.offer(existing, servicePort);
      else {
        const { name, targetHost, targetPort, port: listenPort } = item;
        allocator.add({ name, tunnel: tunnel.name, targetHost, targetPort, listenPort, servicePort, isFixed: true });
      }
    }
  }
  return { table: allocator.table(), omitted };
};

/** A static forward of another `port` than the table's, which is free: the config was changed. The Service hides it. */
const isOnlyMoved = (forwards: readonly Forward[], { listenPort }: Forward, port: number): boolean =>
  port !== listenPort && !forwards.some((each) => each.listenPort === port);

/**
 * Serves claims one after another: a target's forward is the one that it has, or a new one. One claim is served whole
 * or refused and changes nothing. The same table object comes back when nothing had to change. The listen port is the
 * target's own where it is free, from 1024 up. The mark of an unused forward is removed.
 */
export const allocate = (table: Table, gateway: PlacedGateway, claims: readonly Claim[]): Allocation => {
  const allocator = allocatorOf(table);
  const results = claims.map(({ wants, objection }) => {
    const result = giveAll(allocator, gateway, wants);
    const refusal = result.kind === "reject" ? result : objection?.(result.given);
    if (refusal === undefined) allocator.keep();
    else allocator.undo();
    return refusal ?? result;
  });
  return { table: allocator.table(), results };
};

/**
 * The forwards and Services that the table holds for these wants; `undefined` where one lacks or would have to change.
 * Searched and not indexed: for one pod that is quicker than an allocator.
 */
export const givenAlready = (
  table: Table,
  gateway: PlacedGateway,
  wants: readonly Want[],
): readonly Given[] | undefined => {
  const hasRoom = (): boolean => hasRoomForNames(bytesOf(table));
  const given: Given[] = [];
  for (const want of wants) {
    const { target, tunnel } = want;
    const forward = table.forwards.find(
      (item) => item.targetPort === target.port && item.targetHost === target.host && item.tunnel === tunnel,
    );
    if (forward === undefined || forward.unusedSince !== undefined) return undefined;
    if (lacksName(gateway, forward, want, hasRoom)) return undefined;
    const service = serviceOf(table, tunnel, target.host);
    if (service === undefined ? needsService(want, forward) : service.clusterIPs.length === 0) return undefined;
    given.push({ want, forward, ...(service && { service }) });
  }
  return given;
};

const needsService = (want: Want, forward: Forward): boolean =>
  want.needsService || forward.servicePort !== want.target.port;

/** A host that needs a Service for one want uses it for all of its wants: one env may hold the host of two targets. */
const giveAll = (allocator: Allocator, gateway: PlacedGateway, wants: readonly Want[]): GivenAll | Rejection => {
  const pairs: { readonly want: Want; forward: Forward }[] = [];
  for (const want of wants) {
    const forward = give(allocator, gateway, want);
    if ("kind" in forward) return forward;
    pairs.push({ want, forward });
  }
  for (const pair of pairs) {
    const { want, forward } = pair;
    if (!needsService(want, forward) || allocator.findService(want.tunnel, want.target.host)) continue;
    const refusal = addService(allocator, gateway, want);
    if (refusal === undefined) continue;
    // A removed forward's port at the gateway's Service is given away when there is no other address.
    const { port } = want.target;
    const isOpen = port !== READY_PORT && !allocator.holderOf(port);
    const isFree = !want.needsService && forward.servicePort === undefined && isOpen;
    if (!isFree) return refusal;
    pair.forward = allocator.offer(forward, port);
  }
  if (allocator.bytes() > MAX_BYTES)
    // The API server would refuse the whole write, and with it every pod that shares the write.
    return reject("gateway-full", `${namesOf(wants)}: the ConfigMap of ${gateway.name}'s forward table is full`);
  const given = pairs.map((pair) => {
    const service = allocator.findService(pair.want.tunnel, pair.want.target.host);
    return { ...pair, ...(service && { service }) };
  });
  return { kind: "given", given };
};

const namesOf = (wants: readonly Want[]): string => wants.map(({ target }) => target.name).join(", ");

const give = (allocator: Allocator, gateway: PlacedGateway, want: Want): Forward | Rejection => {
  const { target, tunnel, namespace } = want;
  const existing = allocator.find(tunnel, target.host, target.port);
  if (existing !== undefined) return named(allocator, gateway, want, allocator.use(existing));
  const problem = shareProblem(gateway, allocator.forwards, want);
  if (problem !== undefined) return problem;
  const added = allocator.add({
    name: target.name,
    tunnel,
    targetHost: target.host,
    targetPort: target.port,
    listenPort: target.port,
    servicePort: target.port,
    ...(!gateway.isPerNamespace && { namespaces: [namespace] }),
  });
  return added ?? reject("gateway-full", `${target.name}: no port is free`);
};

/**
 * The forward with the name of the want's namespace; a refusal where the policy needs the name, and the table has no
 * room for it.
 */
const named = (allocator: Allocator, gateway: PlacedGateway, want: Want, forward: Forward): Forward | Rejection => {
  const hasRoom = hasRoomForNames(allocator.bytes());
  if (!lacksName(gateway, forward, want, () => hasRoom)) return forward;
  return hasRoom
    ? allocator.name(forward, want.namespace)
    : reject("gateway-full", `${want.target.name}: the table has no room for the name of one more namespace`);
};

const addService = (allocator: Allocator, gateway: PlacedGateway, { target, tunnel }: Want): Rejection | undefined => {
  const services = allocator.services.length;
  if (services >= gateway.maxServices)
    return reject(
      "no-service-left",
      `${target.name}: ${address(target.host, target.port)} needs a Service of its host's own, and ${gateway.name} has ` +
        `${services} of at most ${gateway.maxServices}`,
    );
  allocator.addService(hostServiceName(gateway.name, tunnel, target.host), tunnel, target.host);
  return undefined;
};
