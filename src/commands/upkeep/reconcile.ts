import { type Cluster, ClusterError } from "../../cluster/cluster.ts";
import { type Census, createCensus } from "../../core/census.ts";
import { placedGateways } from "../../core/config/choose.ts";
import type { Config } from "../../core/config/config.ts";
import { gatewayPlaceOf } from "../../core/config/siblings.ts";
import { flowgenSelectors } from "../../core/config/flowgen-pods.ts";
import type { Forward } from "../../core/forwards/table.ts";
import { COMPONENT, GATEWAY_COMPONENT, gatewayId, GATEWAY_LABEL } from "../../core/names.ts";
import { address } from "../../core/target.ts";
import { kindAndName } from "../../provisioning/objects.ts";
import { createProvisioner } from "../../provisioning/provisioner.ts";
import { loadScripts } from "../../provisioning/scripts.ts";
import { reconcileGateway, type Reconciled } from "../../provisioning/reconcile.ts";
import { type ClusterName, connectCluster, readConfigFile } from "../options/options.ts";
import { coloured, type Output } from "../options/output.ts";
import { type Figures, pushFigures, type ReconcileFinding } from "./figures.ts";
import { clusterFindings, notKept, strandedBy, tellEvents } from "./findings.ts";

export type ReconcileOptions = {
  readonly config: string;
  readonly cluster: ClusterName;
  readonly dryRun: boolean;
  /** A Prometheus Pushgateway. */
  readonly pushGateway?: string;
};

/** For all pages of all pods, and for each gateway. */
const LISTING_MS = 300_000;
const GATEWAY_MS = 30_000;

/**
 * `reconcile`: marks forwards that no live pod uses, and removes them after `retain`. Deletes hosts' Services without
 * forwards. Reports objects that should not be in the cluster. Returns the exit code: 1 when a gateway could not be
 * reconciled. Nothing is written in a dry run and in mode audit. Throws a UsageError (exit code 2) when the config or
 * the cluster cannot be used.
 */
export const reconcile = async (options: ReconcileOptions, output: Output): Promise<0 | 1> => {
  const config = await readConfigFile(options.config);
  const cluster = await connectCluster(options.cluster);
  try {
    return await runReconcile(options, { config, cluster, output, now: Date.now });
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    await output.err(`${error.message}\n`);
    return 1;
  }
};

export type Parts = {
  readonly config: Config;
  readonly cluster: Cluster;
  readonly output: Output;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** As `reconcile`, on a cluster that is connected. */
export const runReconcile = async (
  { dryRun, pushGateway }: Pick<ReconcileOptions, "dryRun" | "pushGateway">,
  { config, cluster, output, now }: Parts,
): Promise<0 | 1> => {
  const isDryRun = dryRun || config.mode === "audit";
  const listing = AbortSignal.timeout(LISTING_MS);
  const deployments = await cluster.list("Deployment", "", { [COMPONENT]: GATEWAY_COMPONENT }, listing);
  const gateways = placedGateways(config, deployments.map(gatewayPlaceOf));
  const listedAt = now();
  const { census, pods } = await takeCensus(config, cluster, listing);
  const provision = createProvisioner(cluster, { scripts: loadScripts() });
  const pass = { cluster, provision, config, census, listedAt, now, isDryRun };
  const done: Reconciled[] = [];
  const failed: ReconcileFinding[] = [];
  for (const gateway of gateways) {
    const result = await reconcileGateway(pass, gateway, AbortSignal.timeout(GATEWAY_MS)).catch((error: unknown) => {
      if (error instanceof ClusterError) return error;
      throw error;
    });
    if (result instanceof ClusterError || result.kind !== "reconciled") {
      failed.push(notKept(gateway, result));
      continue;
    }
    done.push(result);
    for (const line of linesOf(result, isDryRun)) await output.out(`${line}\n`);
  }
  const findings = [
    ...failed,
    ...done.flatMap((one) => strandedBy(census, one)),
    ...clusterFindings(census, deployments, gateways),
  ];
  for (const { reason, about, says } of findings)
    await output.out(`${coloured(output, "out", "yellow", reason)}: ${kindAndName(about)}: ${says}\n`);
  if (!isDryRun) await tellEvents(cluster, findings, AbortSignal.timeout(GATEWAY_MS));
  const figures: Figures = { gateways: done, findings, at: now() };
  if (pushGateway !== undefined && !isDryRun) await pushFigures(pushGateway, figures);
  await output.err(`${summary(figures, pods, isDryRun)}\n`);
  return failed.length > 0 ? 1 : 0;
};

/**
 * Pods that a gateway's marks were put on, and all that the config calls flowgen's: their labels may have been taken
 * away.
 */
const takeCensus = async (
  config: Config,
  cluster: Cluster,
  signal: AbortSignal,
): Promise<{ readonly census: Census; readonly pods: number }> => {
  const census = createCensus(config);
  let pods = 0;
  for (const selector of [GATEWAY_LABEL, ...flowgenSelectors(config)])
    for await (const { name = "", ...pod } of cluster.livePods(selector, signal)) {
      pods += 1;
      census.add({ ...pod, name });
    }
  return { census, pods };
};

const named = ({ name, tunnel, targetHost, targetPort }: Forward): string =>
  `${name} (${address(targetHost, targetPort)} through ${tunnel})`;

const linesOf = (
  { gateway, marked, unmarked, removed, closed, deleted }: Reconciled,
  isDryRun: boolean,
): readonly string[] => {
  const id = `${isDryRun ? "would do: " : ""}${gatewayId(gateway)}`;
  return [
    ...marked.map((forward) => `${id}: no pod uses ${named(forward)}: marked, and removed after ${gateway.retain} s`),
    ...unmarked.map((forward) => `${id}: pods use ${named(forward)} again: no longer marked`),
    ...removed.map((forward) => `${id}: removed ${named(forward)}, unused since ${String(forward.unusedSince)}`),
    ...(isDryRun
      ? closed.map(({ name, host }) => `${id}: deleted the Service ${name} of ${host}, which has no forward`)
      : []),
    ...deleted.map((name) => `${id}: deleted the Service ${name}, whose host has no forward`),
  ];
};

const summary = ({ gateways, findings }: Figures, pods: number, isDryRun: boolean): string => {
  const sum = (count: (one: Reconciled) => number): number => gateways.reduce((all, one) => all + count(one), 0);
  return (
    `${isDryRun ? "nothing was written: " : ""}${gateways.length} gateways, ${sum(({ table }) => table.forwards.length)} forwards, ` +
    `${sum(({ marked }) => marked.length)} marked, ${sum(({ removed }) => removed.length)} removed, ` +
    `${findings.length} findings; ${pods} pods read`
  );
};
