import type { FastifyBaseLogger } from "fastify";
import type { Cluster } from "../cluster/cluster.ts";
import type { LaneEvents } from "../provisioning/lane.ts";
import { createProvisioning, type Provisioning } from "../provisioning/provisioner.ts";
import type { Scripts } from "../core/gateway/manifests.ts";
import { gatewayId } from "../core/names.ts";
import { counting } from "./counting.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { Rolls } from "./rolls.ts";
import type { Standing } from "./standing.ts";

type Parts = {
  readonly cluster: Cluster;
  readonly scripts: Scripts;
  readonly log: FastifyBaseLogger;
  /** Between two looks at the gateways without an admission; 0: none. */
  readonly repairSeconds?: number;
};

/** The provisioner, with metrics and log lines for its calls and writes. */
export const observedProvisioning = (
  { cluster, scripts, log, repairSeconds = 0 }: Parts,
  metrics: Metrics,
  standing: Standing,
  rolls: Rolls,
): Provisioning => {
  const events: LaneEvents = {
    conflict: (gateway) => metrics.conflict(gatewayId(gateway)),
    table: (gateway, { forwards }) => metrics.forwards(gatewayId(gateway), forwards.length, gateway.maxForwards),
    wrote: (gateway, { kind, name }, how) => {
      metrics.objectWrite(kind);
      log.info({ gateway: gatewayId(gateway), object: `${kind} ${name}`, how }, "gateway object written");
    },
    recovered: (gateway, { forwards }) =>
      log.error({ gateway: gatewayId(gateway), forwards: forwards.length }, "lost forward table made again"),
    omitted: (gateway, forwards) =>
      log.warn({ gateway: gatewayId(gateway), forwards }, "static forwards are not as the config says"),
    addressLost: (gateway, { name, host, clusterIPs }, holders) =>
      log.error(
        { gateway: gatewayId(gateway), service: name, host, clusterIPs, holders },
        "Service made again with other addresses: pods that hold these must be restarted",
      ),
    standing: (gateway, isBehind) => {
      const id = gatewayId(gateway);
      if (isBehind && !standing.isBehind()) log.warn({ gateway: id }, "another config made the gateway");
      standing.note(id, isBehind);
      metrics.behind(id, isBehind);
    },
    deployed: (gateway, deployed) => {
      const id = gatewayId(gateway);
      rolls.note(id, deployed);
      metrics.deployments(id, deployed);
    },
    starting: (gateway, isStarting) => rolls.noteStart(gatewayId(gateway), isStarting),
    restart: (gateway, why) => log.warn({ gateway: gatewayId(gateway), why }, "gateway restarts"),
  };
  return createProvisioning(counting(cluster, metrics), { scripts, events, keeps: repairSeconds > 0 });
};
