/** The commands that look after the gateways of a cluster, with their options. */
import { type Command, Option } from "commander";
import { CLUSTERS } from "../options/options.ts";
import type { AdoptOptions } from "../upkeep/adopt.ts";
import { number } from "../options/values.ts";
import type { Output } from "../options/output.ts";
import type { ReconcileOptions } from "../upkeep/reconcile.ts";
import type { RemoveOptions } from "../upkeep/remove.ts";
import { configOption, type End, exampleCalls, exitCodes, option } from "../options/shared.ts";

const cluster = (): Option =>
  option("--cluster <where>", "the API server", "CLUSTER").choices(CLUSTERS).default("kubeconfig");
const dryRun = (): Option => new Option("--dry-run", "say what would be done; change nothing").default(false);

export const addReconcile = (program: Command, output: Output, end: End): void => {
  program
    .command("reconcile")
    .description("remove forwards that no pod uses any more, and report objects that should not be in the cluster")
    .addHelpText(
      "after",
      exampleCalls(["reconcile --dry-run --config webhook.yaml"]) + exitCodes("a gateway could not be reconciled"),
    )
    .addOption(configOption())
    .addOption(cluster())
    .addOption(option("--push-gateway <url>", "a Prometheus Pushgateway that takes the figures", "PUSH_GATEWAY"))
    .addOption(dryRun())
    .action(async (options: ReconcileOptions) => {
      end(await (await import("../upkeep/reconcile.ts")).reconcile(options, output));
    });
};

export const addRemove = (program: Command, output: Output, end: End): void => {
  program
    .command("remove")
    .description("delete a gateway that the config does not know, unless live pods use it")
    .argument("<gateway>", "as namespace/name")
    .addHelpText(
      "after",
      exampleCalls(["remove team-a/flowgen-wireguard-gateway --dry-run"]) + exitCodes("it was not removed"),
    )
    .addOption(configOption())
    .addOption(new Option("--uninstalled", "no webhook runs any more: no config is read").default(false))
    .addOption(cluster())
    .addOption(new Option("--force", "although live pods use it").default(false))
    .addOption(dryRun())
    .action(async (gateway: string, options: RemoveOptions) => {
      end(await (await import("../upkeep/remove.ts")).remove(gateway, options, output));
    });
};

export const addAdopt = (program: Command, output: Output, end: End): void => {
  program
    .command("adopt")
    .description("take over a gateway that the flowgen chart made, or that a backup tool restored")
    .argument("<gateway>", "as namespace/name")
    .addHelpText(
      "after",
      exampleCalls([
        "adopt team-a/flowgen-wireguard-gateway --dry-run                 the steps, and what to change where",
        "adopt team-a/flowgen-wireguard-gateway --config webhook.yaml     with the config that is installed",
      ]) + exitCodes("it was not taken over, or its pod is not ready"),
    )
    .addOption(configOption())
    .addOption(cluster())
    .addOption(
      new Option("--wait-seconds <n>", "for the gateway's next pod to be ready; 0: not at all")
        .argParser(number(0, 3600))
        .default(120),
    )
    .addOption(dryRun())
    .action(async (gateway: string, options: AdoptOptions) => {
      end(await (await import("../upkeep/adopt.ts")).adopt(gateway, options, output));
    });
};
