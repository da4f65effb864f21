import { Gauge, Pushgateway, Registry } from "prom-client";
import type { KubeObject } from "../../cluster/cluster.ts";
import { gatewayId, MANAGER } from "../../core/names.ts";
import { messageOf } from "../../core/message.ts";
import type { Reconciled } from "../../provisioning/reconcile.ts";
import { UsageError } from "../options/options.ts";

/** A fault that an admin must look at. `about`: the object that has it. */
export type ReconcileFinding = {
  readonly reason: "orphan" | "identity-twice" | "unredirected" | "address-lost" | "format-newer" | "not-kept";
  readonly about: Pick<KubeObject, "kind" | "metadata">;
  readonly says: string;
};

export type Figures = {
  readonly gateways: readonly Reconciled[];
  readonly findings: readonly ReconcileFinding[];
  /** Milliseconds since 1970. */
  readonly at: number;
};

const REASONS = [
  "orphan",
  "identity-twice",
  "unredirected",
  "address-lost",
  "format-newer",
  "not-kept",
] as const satisfies readonly ReconcileFinding["reason"][];

/** The figures of one run as Prometheus reads them. */
export const figuresRegistry = ({ gateways, findings, at }: Figures): Registry => {
  const registry = new Registry();
  const registers = [registry];
  const found = new Gauge({
    name: "flowgen_gateway_findings",
    help: "What a run of reconcile found that an admin must look at, by reason",
    labelNames: ["reason"],
    registers,
  });
  for (const reason of REASONS) found.set({ reason }, findings.filter((each) => each.reason === reason).length);
  const unused = new Gauge({
    name: "flowgen_gateway_forwards_unused",
    help: "Forwards that are marked, because no live pod uses them",
    labelNames: ["gateway"],
    registers,
  });
  for (const { gateway, table } of gateways)
    unused.set(
      { gateway: gatewayId(gateway) },
      table.forwards.filter(({ unusedSince }) => unusedSince !== undefined).length,
    );
  new Gauge({
    name: "flowgen_gateway_reconcile_timestamp_seconds",
    help: "When reconcile last ran to its end",
    registers,
  }).set(at / 1000);
  return registry;
};

/** Replaces the figures of the last run at a Prometheus Pushgateway. Throws a UsageError when it does not take them. */
export const pushFigures = async (url: string, figures: Figures): Promise<void> => {
  try {
    await new Pushgateway(url, { timeout: 10_000 }, figuresRegistry(figures)).push({ jobName: `${MANAGER}-reconcile` });
  } catch (error) {
    throw new UsageError(`--push-gateway ${url}: ${messageOf(error)}; name a Pushgateway that answers`);
  }
};
