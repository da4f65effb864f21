import { stringify } from "yaml";
import { type Cluster, ClusterError, type KubeObject } from "../../cluster/cluster.ts";
import { sleepUnless } from "../../cluster/waiting.ts";
import { type GatewayRef, placedGateways } from "../../core/config/choose.ts";
import type { Config } from "../../core/config/config.ts";
import { readChartGateway } from "../../core/gateway/chart.ts";
import { configOfChart } from "../../core/gateway/chart-config.ts";
import { type Adopting, adoptStep, bringAdopted, isServing, readAdoption } from "../../provisioning/adopt.ts";
import type { AdoptionStep } from "../../provisioning/adoption.ts";
import { kindAndName } from "../../provisioning/objects.ts";
import { createProvisioner } from "../../provisioning/provisioner.ts";
import { loadScripts } from "../../provisioning/scripts.ts";
import { type ClusterName, connectCluster, readConfigFile } from "../options/options.ts";
import { coloured, type Output } from "../options/output.ts";
import { gatewayRefOf } from "./remove.ts";

export type AdoptOptions = {
  readonly config: string;
  readonly cluster: ClusterName;
  readonly dryRun: boolean;
  /** For the next pod to be ready; 0: not waited for. */
  readonly waitSeconds: number;
};

/** For the steps together. */
const STEPS_MS = 120_000;
const LOOK_MS = 200;

/**
 * `adopt NAMESPACE/NAME`: takes over a gateway that the flowgen chart made, or that a backup tool restored without
 * managedFields. Refuses before anything is written where the config would serve less than it serves. Each step may be
 * the last one: the command made again goes on from there. Returns the exit code: 1 when it was not taken over, or its
 * pod is not ready in time. Throws a UsageError (exit code 2) when the name, the config or the cluster cannot be used.
 */
export const adopt = async (gateway: string, options: AdoptOptions, output: Output): Promise<0 | 1> => {
  const ref = gatewayRefOf(gateway);
  const config = await readConfigFile(options.config);
  const cluster = await connectCluster(options.cluster);
  try {
    return await adoptGateway(ref, options, { cluster, config, output });
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    await output.err(`${error.message}\n${error.code === 403 ? BREAK_GLASS : AGAIN}`);
    return 1;
  }
};

const AGAIN = "what was done stays; make the command again to go on\n";
const BREAK_GLASS =
  "it needs the verb break-glass in the gateway's namespace, by the ClusterRole flowgen-gateway-webhook-break-glass (docs/operations.md)\n";

type Parts = { readonly cluster: Cluster; readonly config: Config; readonly output: Output };
type Options = Pick<AdoptOptions, "dryRun" | "waitSeconds">;

/** As `adopt`, on a cluster that is connected. */
export const adoptGateway = async (
  ref: GatewayRef,
  options: Options,
  { cluster, config, output }: Parts,
): Promise<0 | 1> => {
  const gateway = placedGateways(config, [ref]).find(
    ({ name, namespace }) => name === ref.name && namespace === ref.namespace,
  );
  const found = await chartsOwn(cluster, ref);
  if (gateway === undefined) {
    await output.err(`the config knows no gateway ${ref.namespace}/${ref.name}\n${found.block}`);
    return 1;
  }
  const provision = createProvisioner(cluster, { scripts: loadScripts() });
  const adopting: Adopting = { cluster, provision, config, gateway };
  const plan = await readAdoption(adopting, AbortSignal.timeout(STEPS_MS));
  if (plan.kind === "refused") {
    const block = ["forward-missing", "tunnel-missing"].includes(plan.reason) ? found.block : "";
    await output.err(`${coloured(output, "err", "red", plan.reason)}: ${plan.says}\n${block}`);
    return 1;
  }
  const code = options.dryRun ? await show(plan.steps, output) : await perform(plan.steps, adopting, options, output);
  await output.out(found.values);
  return code;
};

/**
 * The gateway of the flowgen chart in the forms of this project: `block` for the webhook's config, `values` for the
 * chart. Empty: the gateway is not the chart's.
 */
const chartsOwn = async (
  cluster: Cluster,
  { namespace, name }: GatewayRef,
): Promise<{ readonly block: string; readonly values: string }> => {
  const signal = AbortSignal.timeout(STEPS_MS);
  const [deployment, service] = await Promise.all([
    cluster.get({ kind: "Deployment", namespace, name }, signal),
    cluster.get({ kind: "Service", namespace, name }, signal),
  ]);
  const chart = readChartGateway(deployment, service);
  const entry = chart && stringify({ gateways: [configOfChart({ namespace, name }, chart)] });
  return {
    block: entry === undefined ? "" : `what it serves, to write into the webhook's config:\n${entry}`,
    values: valuesFor(deployment ?? service) ?? valuesFor(service) ?? "",
  };
};

/** Helm writes its release on what it made, and that stays there when the webhook takes it over. */
const valuesFor = (object: KubeObject | undefined): string | undefined => {
  const { "meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace } = {
    ...object?.metadata.annotations,
  };
  if (release === undefined) return undefined;
  return (
    `then change the values of the release ${release} in ${String(namespace)}, which deletes nothing that was taken over:\n` +
    "wireguardGateway:\n  enabled: false\n"
  );
};

const textOf = (step: AdoptionStep): string => {
  switch (step.kind) {
    case "table":
      return "write the forward table with the static forwards of the config";
    case "take":
      return `take over ${kindAndName(step.object)}${step.isOurs ? ", whose content others own" : ""}`;
    case "replace":
      return `end the pods of ${kindAndName(step.deployment)} and make the gateway's in its place: its users are cut off for some seconds`;
  }
};

const show = async (steps: readonly AdoptionStep[], { out, err }: Output): Promise<0> => {
  for (const step of steps) await out(`would ${textOf(step)}\n`);
  await err(steps.length === 0 ? "nothing is to be taken over\n" : "nothing was written; the tunnels' Secrets stay\n");
  return 0;
};

const perform = async (
  steps: readonly AdoptionStep[],
  adopting: Adopting,
  { waitSeconds }: Options,
  output: Output,
): Promise<0 | 1> => {
  const signal = AbortSignal.timeout(STEPS_MS);
  let cutOffAt: number | undefined;
  for (const step of steps) {
    if (step.kind === "replace") cutOffAt = performance.now();
    await adoptStep(adopting, step, signal);
    await output.out(`done: ${textOf(step)}\n`);
  }
  const brought = await bringAdopted(adopting, signal);
  if (brought.kind !== "assigned") {
    const why = brought.kind === "reject" ? brought.message : brought.detail;
    await output.err(`${coloured(output, "err", "red", brought.reason)}: ${why}\n${AGAIN}`);
    return 1;
  }
  if (cutOffAt === undefined || waitSeconds === 0) return 0;
  const isReady = await waitForPod(adopting, waitSeconds);
  const seconds = ((performance.now() - cutOffAt) / 1000).toFixed(1);
  if (isReady) await output.out(`the gateway's pod is ready, ${seconds} s after the former one began to end\n`);
  else
    await output.err(
      `the gateway's pod is not ready after ${seconds} s: flowgen-gateway check says why, and kubectl logs has more\n`,
    );
  return isReady ? 0 : 1;
};

const waitForPod = async (adopting: Adopting, seconds: number): Promise<boolean> => {
  const signal = AbortSignal.timeout(seconds * 1000);
  const looked = async (): Promise<boolean> => {
    for (; !(await isServing(adopting, signal));) await sleepUnless(LOOK_MS, signal);
    return true;
  };
  return looked().catch((error: unknown) => {
    if (signal.aborted) return false;
    throw error;
  });
};
