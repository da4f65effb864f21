// From what the cluster holds of a gateway to the assignments of those who ask: pure.
import type { PlacedGateway } from "../core/config/config.ts";
import { allocate, allocateAll, type Given, withStaticForwards } from "../core/forwards/allocate.ts";
import { type Forward, serviceOf, type Table } from "../core/forwards/table.ts";
import type { Want } from "../core/plan.ts";
import type { Failure, Rejection } from "../core/reasons.ts";
import type { Assignment } from "../core/target.ts";
import { dnsName } from "../core/names.ts";
import { type GatewayObjects, holds, tableIn } from "./objects.ts";

/** Assignments that the table holds, or the reason why there are none. Failed I/O is a ClusterError. */
export type Provisioned =
  { readonly kind: "assigned"; readonly assignments: readonly Assignment[] } | Rejection | Failure;

/** What a cached table gives: assignments, if it holds all the forwards that are wanted. */
export type Warm = Provisioned | "unknown";

/** What one reading of the table gives to all who wait. */
export type Round =
  | Rejection
  | Failure
  | {
      readonly kind: "round";
      readonly table: Table;
      /** Not what the API server has. */
      readonly isNew: boolean;
      /** One per request, in their order. */
      readonly results: readonly Provisioned[];
      /** Static forwards that cannot be had. */
      readonly omitted: readonly string[];
    };

/** The result of the request at this place. */
export const resultOf = (round: Round, at: number): Provisioned =>
  round.kind === "round" ? (round.results[at] as Provisioned) : round;

/** Serves the requests from the table that was read, one after another. */
export const roundOf = (
  objects: GatewayObjects,
  gateway: PlacedGateway,
  requests: readonly (readonly Want[])[],
): Round => {
  const read = tableIn(objects, gateway);
  if (read.kind !== "table") return read;
  const start = withStaticForwards(read.table, gateway);
  const { table, results } = allocateAll(start.table, gateway, requests);
  return {
    kind: "round",
    table,
    isNew: table !== read.table || !holds(objects.table, table),
    results: results.map((result) => (result.kind === "reject" ? result : assigned(table, gateway, result.given))),
    omitted: start.omitted,
  };
};

/** What a table gives without a change of it. */
export const warm = (table: Table, gateway: PlacedGateway, wants: readonly Want[]): Warm => {
  const allocation = allocate(table, gateway, wants);
  return allocation.kind === "allocated" && allocation.table === table
    ? assigned(table, gateway, allocation.given)
    : "unknown";
};

/** What the answer would be; the allocation is thrown away. */
export const previewOf = (objects: GatewayObjects, gateway: PlacedGateway, wants: readonly Want[]): Provisioned => {
  const read = tableIn(objects, gateway);
  if (read.kind !== "table") return read;
  const allocation = allocate(withStaticForwards(read.table, gateway).table, gateway, wants);
  return allocation.kind === "reject" ? allocation : assigned(allocation.table, gateway, allocation.given);
};

const assigned = (table: Table, gateway: PlacedGateway, given: readonly Given[]): Provisioned => ({
  kind: "assigned",
  assignments: given.map(({ target, forward }) => ({
    target,
    forward: forward.name,
    ...addressOf(table, gateway, forward),
  })),
});

/** The Service and port at which a forward is offered: the gateway's own Service first. */
const addressOf = (table: Table, gateway: PlacedGateway, forward: Forward): Pick<Assignment, "host" | "port"> => {
  const { servicePort, tunnel, targetHost, targetPort } = forward;
  if (servicePort !== undefined) return { host: dnsName(gateway), port: servicePort };
  const name = serviceOf(table, tunnel, targetHost)?.name ?? gateway.name;
  return { host: dnsName({ name, namespace: gateway.namespace }), port: targetPort };
};
