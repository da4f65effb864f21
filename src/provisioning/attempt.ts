/** From a gateway's objects to the assignments of the pods that wait for it: pure. */
import type { KubeObject } from "../cluster/cluster.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { allocate, type Allocation, type Given, givenAlready, withStaticForwards } from "../core/forwards/allocate.ts";
import { spread } from "../core/forwards/policies.ts";
import { type Forward, lineOf, serviceOf, type Table, withAddresses } from "../core/forwards/table.ts";
import { perObject } from "../core/memo.ts";
import { dnsName, dnsNames, gatewayId } from "../core/names.ts";
import { fail, type Failure, type Rejection } from "../core/reasons.ts";
import { address, type Assignment, type Want } from "../core/target.ts";
import {
  type Addresses,
  clusterIPsOf,
  familiesOf,
  type GatewayObjects,
  holds,
  type IpFamily,
  linesText,
  tableIn,
} from "./objects.ts";
import type { Stand } from "./intent.ts";

/** Assignments that the table holds, or the reason why there are none. Failed I/O is a ClusterError. */
export type Provisioned =
  { readonly kind: "assigned"; readonly assignments: readonly Assignment[] } | Rejection | Failure;

/** The targets of one pod, or a change of the table. */
export type Asked = {
  /** Made before the pods are served. */
  readonly change?: ((table: Table) => Table) | undefined;
  readonly wants: readonly Want[];
  /** A reason to refuse the pod with these assignments: no forward is then written for it. */
  readonly objection?: (assignments: readonly Assignment[]) => Rejection | undefined;
};

/** The result of one reading of a gateway's objects for all pods that wait. */
export type Attempt =
  | Rejection
  | Failure
  | {
      readonly kind: "attempt";
      readonly table: Table;
      /** The API server has another one. */
      readonly isNew: boolean;
      /** One per pod, in their order. */
      readonly results: readonly (Rejection | Failure | { readonly kind: "given"; readonly given: readonly Given[] })[];
      /** Nothing may be written: another config is in force. */
      readonly isBehind: boolean;
      /** Static forwards that cannot be had. */
      readonly omitted: readonly string[];
    };

export type Attempted = Extract<Attempt, { readonly kind: "attempt" }>;

/** Serves the pods from the table that was read, one after another. */
export const attempt = (
  objects: GatewayObjects,
  gateway: PlacedGateway,
  asked: readonly Asked[],
  stand: Stand,
): Attempt => {
  const read = tableIn(objects, gateway);
  if (stand === "behind" && read.kind === "reject") return superseded(gateway);
  if (read.kind !== "table") return read;
  if (stand === "behind") return attemptBehind(objects, read.table, gateway, asked);
  const known = withAddresses(read.table, unrecorded(objects, read.table));
  const changed = asked.reduce((table, { change }) => change?.(table) ?? table, known);
  const start = withStaticForwards(changed, gateway);
  const claims = asked.map(({ wants, objection }) => ({
    wants,
    objection: (given: readonly Given[]) => objection?.(assignmentsOf(gateway, given, familiesOf(objects))),
  }));
  const { table, results } = spreadOut(allocate(start.table, gateway, claims));
  const isNew = stand === "due" || table !== read.table || !holds(objects, gateway, table);
  return { kind: "attempt", table, isNew, results, omitted: start.omitted, isBehind: false };
};

/** The allocation, with each forward's rule in a policy that has room for it. */
const spreadOut = ({ table: before, results }: Allocation): Allocation => {
  const table = spread(before);
  if (table === before) return { table, results };
  const placed = new Map(table.forwards.map((forward) => [forward.name, forward]));
  const place = (each: Given): Given => ({ ...each, forward: placed.get(each.forward.name) ?? each.forward });
  return {
    table,
    results: results.map((each) => (each.kind === "given" ? { ...each, given: each.given.map(place) } : each)),
  };
};

/** Another process has the config that is in force, and decides. */
export const superseded = (gateway: PlacedGateway): Failure => fail("superseded", gatewayId(gateway));

/** Whether a Service forwards a port to a port of the gateway's pod. */
const offers = (service: KubeObject | undefined, port: number, listenPort: number): boolean => {
  const { ports = [] } = { ...(service?.["spec"] as { readonly ports?: readonly ServicePort[] } | undefined) };
  return ports.some((item) => item.port === port && item.targetPort === listenPort);
};
type ServicePort = { readonly port: number; readonly targetPort: number };

/**
 * Serves pods by the forwards that the gateway serves now, as the config that is in force left it. The processes of
 * that config answer other pods.
 */
const attemptBehind = (
  objects: GatewayObjects,
  read: Table,
  gateway: PlacedGateway,
  asked: readonly Asked[],
): Attempt => {
  const lines = new Set(linesText(objects.table).split("\n"));
  const isServed = (item: Forward): boolean => {
    const { servicePort, targetPort, listenPort, tunnel, targetHost } = item;
    const own = serviceOf(read, tunnel, targetHost);
    const hosts = objects.hostServices.find(({ metadata }) => metadata.name === own?.name);
    return (
      lines.has(lineOf(item)) &&
      (servicePort === undefined || offers(objects.service, servicePort, listenPort)) &&
      (own === undefined || offers(hosts, targetPort, listenPort))
    );
  };
  const table = { ...read, forwards: read.forwards.filter(isServed) };
  const results = asked.map(({ wants, objection, change }) => {
    const given = change ? undefined : givenAlready(table, gateway, wants);
    if (given === undefined || objection?.(assignmentsOf(gateway, given, [])) !== undefined) return superseded(gateway);
    return { kind: "given", given } as const;
  });
  return { kind: "attempt", table, isNew: false, results, omitted: [], isBehind: true };
};

/** The addresses of Services that exist, where the table has none: their maker ended before it wrote them down. */
const unrecorded = ({ hostServices }: GatewayObjects, { services }: Table): Addresses => {
  const without = new Set(services.filter(({ clusterIPs }) => clusterIPs.length === 0).map(({ name }) => name));
  const found = hostServices.map((service) => [service.metadata.name ?? "", clusterIPsOf(service)] as const);
  return new Map(found.filter(([name]) => without.has(name)));
};

/** Assignments that a table gives without a change of it. */
export const assignedBy = (table: Table, gateway: PlacedGateway, wants: readonly Want[]): Provisioned | undefined => {
  const given = givenAlready(table, gateway, wants);
  return given && { kind: "assigned", assignments: assignmentsOf(gateway, given, []) };
};

/**
 * The results that pods would have by one reading of a gateway's objects. The allocation is thrown away. Pods that want
 * the same get one answer. No pod objects to it: no forward is written, and who asked sees the assignments.
 */
export const previewsOf = (
  objects: GatewayObjects,
  gateway: PlacedGateway,
  stand: Stand,
): ((wants: readonly Want[]) => Provisioned) =>
  perObject((wants) => {
    const attempted = attempt(objects, gateway, [{ wants }], stand);
    if (attempted.kind !== "attempt") return attempted;
    const [result] = attempted.results;
    return result?.kind === "given"
      ? { kind: "assigned", assignments: assignmentsOf(gateway, result.given, familiesOf(objects)) }
      : (result as Rejection | Failure);
  });

/** The stand-in for each IP family, from the ranges for documentation (RFC 5737, RFC 3849). */
const STAND_IN: Readonly<Record<IpFamily, (number: number) => string>> = {
  IPv4: (number) => `192.0.2.${number}`,
  IPv6: (number) => `2001:db8::${number.toString(16)}`,
};
const STAND_INS = 254;

/** The assignments of forwards and Services; a Service without an address has a stand-in for each of the families. */
export const assignmentsOf = (
  gateway: PlacedGateway,
  given: readonly Given[],
  families: readonly IpFamily[],
): readonly Assignment[] => {
  const standIns = (index: number): readonly string[] =>
    families.map((family) => STAND_IN[family](1 + (index % STAND_INS)));
  const unmade = [...new Set(given.flatMap(({ service }) => (service?.clusterIPs.length === 0 ? [service.name] : [])))];
  const placed = (service: string) => ({ ...gateway, name: service });
  return given.map(({ want: { target, tunnel, redirect, names }, forward, service }) => {
    const isAssumed = service?.clusterIPs.length === 0;
    const addresses = [
      ...(service ? dnsNames(placed(service.name)).map((name) => address(name, target.port)) : []),
      ...dnsNames(gateway).flatMap((name) =>
        forward.servicePort === undefined ? [] : [address(name, forward.servicePort)],
      ),
    ];
    return {
      target,
      tunnel,
      redirect,
      names,
      forward: forward.name,
      host: dnsName(service ? placed(service.name) : gateway),
      port: target.port,
      addresses,
      clusterIPs: isAssumed ? standIns(unmade.indexOf(service.name)) : (service?.clusterIPs ?? []),
      ...(isAssumed && { isAssumed }),
    };
  });
};
