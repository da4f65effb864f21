// From what the cluster holds of a gateway to the assignments of those who ask: pure.
import type { PlacedGateway } from "../core/config/config.ts";
import { allocate, allocateAll, type Given, withStaticForwards } from "../core/forwards/allocate.ts";
import type { Table } from "../core/forwards/table.ts";
import type { Want } from "../core/plan.ts";
import type { Rejection } from "../core/reasons.ts";
import type { Assignment } from "../core/target.ts";
import { dnsName } from "../core/names.ts";
import { type GatewayObjects, holds, tableIn } from "./objects.ts";

/** An assignment that the table backs, or why there is none. Failed I/O is a ClusterError. */
export type Provisioned = { readonly kind: "assigned"; readonly assignments: readonly Assignment[] } | Rejection;

/** What a cached table gives: assignments, if it holds all the forwards that are wanted. */
export type Warm = Provisioned | "unknown";

/** What one reading of the table gives to all who wait. */
export type Round =
  | Rejection
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
  round.kind === "reject" ? round : (round.results[at] as Provisioned);

/** Serves the requests from the table that was read, one after another. */
export const roundOf = (
  objects: GatewayObjects,
  gateway: PlacedGateway,
  requests: readonly (readonly Want[])[],
): Round => {
  const read = tableIn(objects, gateway);
  if (read.kind === "reject") return read;
  const start = withStaticForwards(read.table, gateway);
  const { table, results } = allocateAll(start.table, gateway, requests);
  return {
    kind: "round",
    table,
    isNew: table !== read.table || !holds(objects.table, table),
    results: results.map((result) => (result.kind === "reject" ? result : assigned(gateway, result.given))),
    omitted: start.omitted,
  };
};

/** What a table gives without a change of it. */
export const warm = (table: Table, gateway: PlacedGateway, wants: readonly Want[]): Warm => {
  const allocation = allocate(table, gateway, wants);
  return allocation.kind === "allocated" && allocation.table === table
    ? assigned(gateway, allocation.given)
    : "unknown";
};

/** What the answer would be; the allocation is thrown away. */
export const previewOf = (objects: GatewayObjects, gateway: PlacedGateway, wants: readonly Want[]): Provisioned => {
  const read = tableIn(objects, gateway);
  if (read.kind === "reject") return read;
  const allocation = allocate(withStaticForwards(read.table, gateway).table, gateway, wants);
  return allocation.kind === "reject" ? allocation : assigned(gateway, allocation.given);
};

const assigned = (gateway: PlacedGateway, given: readonly Given[]): Provisioned => {
  const host = dnsName(gateway);
  return {
    kind: "assigned",
    assignments: given.map(({ target, forward }) => ({
      target,
      forward: forward.name,
      host,
      port: forward.servicePort,
    })),
  };
};
