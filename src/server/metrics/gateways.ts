import { Counter, Gauge, type Registry } from "prom-client";
import type { Deployed } from "../../provisioning/rolling.ts";
import type { ReasonCode } from "../../core/reasons.ts";

/** Metrics of the gateways that the webhook keeps. */
export type GatewayMetrics = {
  /** Sets the size of a gateway's table. `max`: the config's maxForwards. */
  forwards(gateway: string, count: number, max: number): void;
  /** Counts a write of the table that was repeated after a 409. */
  conflict(gateway: string): void;
  /** Sets whether another config than this replica's made the gateway. */
  behind(gateway: string, isBehind: boolean): void;
  /** Sets how many Deployments a gateway should have, how many serve, and how many have yet to be made, changed or removed. */
  deployments(gateway: string, deployed: Deployed): void;
  /** Counts an object of a gateway that was made or changed. */
  objectWrite(kind: string): void;
  /** Counts a repair. `result`: `kept`, or the reason code of a gateway that could not be kept. */
  repair(result: string): void;
};

/**
 * Gateways that have metrics of their own. Where each namespace has a gateway, namespaces come and go: the gateway that
 * was measured longest ago is dropped.
 */
const MOST_GATEWAYS = 1000;

/** Reason codes of a gateway that is not kept. */
const repairRefusals = [
  "object-unmanaged",
  "selector-other",
  "identity-held",
  "table-invalid",
  "format-newer",
] satisfies ReasonCode[];

/** Registers these metrics. */
export const gatewayMetrics = (registry: Registry): GatewayMetrics => {
  const registers = [registry];
  const forwards = new Gauge({
    name: "flowgen_gateway_forwards",
    help: "Forwards in a gateway's table",
    labelNames: ["gateway"],
    registers,
  });
  const forwardsMax = new Gauge({
    name: "flowgen_gateway_forwards_max",
    help: "How many forwards the config lets a gateway have (maxForwards)",
    labelNames: ["gateway"],
    registers,
  });
  const behind = new Gauge({
    name: "flowgen_gateway_config_behind",
    help: "1 where another config than this replica's made the gateway, else 0",
    labelNames: ["gateway"],
    registers,
  });
  const deployments = new Gauge({
    name: "flowgen_gateway_deployments",
    help: "Deployments of a gateway, one for each identity, at the last look: wanted by the config, available, and due to be made, changed or removed one after another",
    labelNames: ["gateway", "state"],
    registers,
  });
  const states = ["wanted", "available", "due"] as const;
  const conflicts = new Counter({
    name: "flowgen_gateway_table_conflicts_total",
    help: "Writes that lost against another replica's and were made again",
    labelNames: ["gateway"],
    registers,
  });
  const objectWrites = new Counter({
    name: "flowgen_gateway_object_writes_total",
    help: "Objects of gateways that this replica made or changed, by kind; the forward tables are not counted",
    labelNames: ["kind"],
    registers,
  });
  const repairs = new Counter({
    name: "flowgen_gateway_repairs_total",
    help: "Looks at the gateways without an admission: kept, or the reason code for each gateway that could not be kept",
    labelNames: ["result"],
    registers,
  });
  for (const result of ["kept", "api-error", ...repairRefusals]) repairs.inc({ result }, 0);
  const measured = mostRecent(MOST_GATEWAYS, (gateway) => {
    for (const metric of [forwards, forwardsMax, conflicts, behind]) metric.remove({ gateway });
    for (const state of states) deployments.remove({ gateway, state });
  });
  return {
    forwards: (gateway, count, max) => {
      measured(gateway);
      forwards.set({ gateway }, count);
      forwardsMax.set({ gateway }, max);
    },
    conflict: (gateway) => {
      measured(gateway);
      conflicts.inc({ gateway });
    },
    behind: (gateway, isBehind) => {
      measured(gateway);
      behind.set({ gateway }, isBehind ? 1 : 0);
    },
    deployments: (gateway, deployed) => {
      measured(gateway);
      for (const state of states) deployments.set({ gateway, state }, deployed[state]);
    },
    objectWrite: (kind) => {
      objectWrites.inc({ kind });
    },
    repair: (result) => {
      repairs.inc({ result });
    },
  };
};

/** Keeps the `most` names that were used last, and drops the others. */
const mostRecent = (most: number, drop: (name: string) => void): ((name: string) => void) => {
  /** The least recently used name first. */
  const names = new Set<string>();
  return (name) => {
    names.delete(name);
    names.add(name);
    const [oldest] = names;
    if (names.size <= most || oldest === undefined) return;
    names.delete(oldest);
    drop(oldest);
  };
};
