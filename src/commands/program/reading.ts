/** The commands that read manifests or a cluster, and write to neither. */
import { setFlagsFromString } from "node:v8";
import { type Command, Option } from "commander";
import type { AuditAnyOptions } from "../audit/any.ts";
import type { CheckOptions } from "../check/check.ts";
import type { InjectOptions } from "../inject/inject.ts";
import { namespaceOption } from "../options/values.ts";
import type { Output } from "../options/output.ts";
import { type End, exampleCalls, exitCodes, manifestOptions } from "../options/shared.ts";

/**
 * The space of young objects stays as small as at the start, and the heap grows by half of what lives in it. A stream
 * leaves nothing behind, and V8 would let its spaces grow by some 100 MiB, for no gain in time
 * (npm run bench:stream).
 */
const keepHeapSmall = (): void => {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=50");
};

export const addInject = (program: Command, output: Output, end: End): void => {
  const command = program
    .command("inject")
    .description("redirect workloads in manifests; the rest passes unchanged")
    .addHelpText(
      "after",
      exampleCalls([
        "inject -f app.yaml --config webhook.yaml | kubectl apply -f -",
        "inject -k overlays/prod --cluster kubeconfig --diff -o table",
        "inject -f - -n team-a < rendered.yaml",
      ]) + exitCodes("a workload is rejected, or as --fail-on says: its document is not printed"),
    );
  for (const each of manifestOptions()) command.addOption(each);
  command
    .addOption(new Option("--gateway", "print the gateways' objects too").default(false))
    .addOption(
      new Option("-o, --output <format>", "the manifests, or the account of them")
        .choices(["manifests", "table", "json"])
        .default("manifests"),
    )
    .action(async (options: InjectOptions) => {
      keepHeapSmall();
      end(await (await import("../inject/inject.ts")).inject(options, output));
    });
};

export const addAudit = (program: Command, output: Output, end: End): void => {
  const command = program
    .command("audit")
    .description("what enforce mode would do to workloads, in manifests or in a cluster; changes nothing")
    .addHelpText(
      "after",
      exampleCalls([
        "audit -f manifests/ -R --config webhook.yaml   manifests, with an empty forward table",
        "audit -f app.yaml --cluster kubeconfig         manifests, with the live table",
        "audit -A --suggest                             every workload of a cluster, with what to annotate",
        "audit -A -o html > audit.html                  a page to hand to others",
      ]) + exitCodes("a workload would be rejected, or as --fail-on says"),
    );
  for (const each of manifestOptions()) command.addOption(each);
  command
    .addOption(new Option("-A, --all-namespaces", "every workload of the cluster, without -f and -k").default(false))
    .addOption(
      new Option("--suggest", "of a cluster: what unannotated workloads look as if they needed").default(false),
    )
    .addOption(
      new Option("-o, --output <format>", "of the account; html: of a cluster, one page")
        .choices(["table", "json", "html"])
        .default("table"),
    )
    .action(async (options: AuditAnyOptions) => {
      keepHeapSmall();
      const isDefault = command.getOptionValueSource("config") === "default";
      end(await (await import("../audit/any.ts")).auditAny(options, isDefault, output));
    });
};

export const addCheck = (program: Command, output: Output, end: End): void => {
  program
    .command("check")
    .description("find what keeps pods from their targets: one cause and one fix each; reads only")
    .argument("[what...]", "config FILE, or a workload such as pod/NAME or deploy/NAME; nothing: the installation")
    .addHelpText(
      "after",
      exampleCalls([
        "check --pre                       before an installation: versions, rights, nodes",
        "check config webhook.yaml         a config, without a cluster",
        "check                             the installation and its gateways",
        "check deploy/orders -n team-a     why a workload cannot connect",
      ]) + exitCodes("an error was found, or as --fail-on says"),
    )
    .addOption(new Option("--pre", "before an installation").default(false))
    .addOption(
      new Option("-n, --namespace <name>", "of the workload; else where a pod is tried (default: default)").argParser(
        namespaceOption,
      ),
    )
    .addOption(new Option("--config <file>", "the config, YAML or JSON (default: the installation's)"))
    .addOption(new Option("--install-name <name>", "of the installation").default("flowgen-gateway-webhook"))
    .addOption(
      new Option("--install-namespace <name>", "of the installation")
        .argParser(namespaceOption)
        .default("flowgen-gateway-webhook"),
    )
    .addOption(
      new Option("--cluster <where>", "the API server").choices(["in-cluster", "kubeconfig"]).default("kubeconfig"),
    )
    .addOption(
      new Option("-o, --output <format>", "short: what is not in order")
        .choices(["table", "short", "json"])
        .default("table"),
    )
    .addOption(
      new Option("--fail-on <what>", "what makes the exit code 1").choices(["error", "warning"]).default("error"),
    )
    .action(async (what: readonly string[], options: CheckOptions) => {
      end(await (await import("../check/check.ts")).check(what, options, output));
    });
};

export const addExplain = (program: Command, output: Output, end: End): void => {
  program
    .command("explain")
    .description("a reason code, a finding or a message of flowgen: its cause and its fix")
    .argument("[text...]", "a code, or a piece of a message; nothing: all of them")
    .addHelpText(
      "after",
      exampleCalls(["explain target-not-allowed", 'explain "Timed out in bb8"', "explain"]) +
        exitCodes("there is no such code or message"),
    )
    .action(async (text: readonly string[]) => {
      end(await (await import("../check/explain.ts")).explain(text.length === 0 ? undefined : text.join(" "), output));
    });
};
