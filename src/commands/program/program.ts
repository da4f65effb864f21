/** The commands of the program with their options, and what its exit codes mean. */
import { inspect } from "node:util";
import { Command, CommanderError, Option } from "commander";
import { version } from "../../files.ts";
import type { CertsOptions } from "../certs/certs.ts";
import type { Output } from "../options/output.ts";
import { addAudit, addCheck, addExplain, addInject } from "./reading.ts";
import { namespaceOption, names, number } from "../options/values.ts";
import { ManifestError } from "../../manifests/document.ts";
import { CLUSTERS, UsageError } from "../options/options.ts";
import type { ServeOptions } from "../serve/serve.ts";
import { addAdopt, addReconcile, addRemove } from "./upkeep.ts";
import {
  caLifetime,
  certificateLifetime,
  certificateNames,
  configOption,
  type End,
  exampleCalls,
  exitCodes,
  flag,
  option,
  settleSeconds,
  webhookConfiguration,
} from "../options/shared.ts";

const addServe = (program: Command): void => {
  program
    .command("serve")
    .description("run the webhook until SIGTERM")
    .addHelpText(
      "after",
      exampleCalls([
        "serve --config webhook.yaml --tls-secret flowgen-gateway-webhook-tls",
        "serve --config webhook.yaml --cluster memory --plain-http   a first look, without a cluster",
      ]),
    )
    .addOption(configOption())
    .addOption(option("--config-yaml <text>", "the config itself, instead of a file", "CONFIG_YAML"))
    .addOption(option("--path-token-file <file>", "serve /mutate/<token>, and not /mutate", "PATH_TOKEN_FILE"))
    .addOption(option("--cluster <where>", "the API server", "CLUSTER").choices(CLUSTERS).default("in-cluster"))
    .addOption(option("--host <address>", "to listen on", "HOST").default("::"))
    .addOption(
      new Option(
        "--port <n>",
        "of the webhook; without FLOWGEN_GATEWAY_PORT the PORT that serverless platforms set counts",
      )
        .env("PORT" in process.env && !("FLOWGEN_GATEWAY_PORT" in process.env) ? "PORT" : "FLOWGEN_GATEWAY_PORT")
        .argParser(number(0, 65535))
        .default(10250),
    )
    .addOption(option("--metrics-port <n>", "of /metrics", "METRICS_PORT").argParser(number(0, 65535)).default(9090))
    .addOption(option("--tls-cert <file>", "PEM, read again when it changes", "TLS_CERT"))
    .addOption(option("--tls-key <file>", "PEM, read again when it changes", "TLS_KEY"))
    .addOption(
      option("--tls-secret <name>", "the webhook makes and renews its certificate in this Secret", "TLS_SECRET"),
    )
    .addOption(
      option("--client-ca <file>", "reviews from client certificates of this CA only, PEM, read again", "CLIENT_CA"),
    )
    .addOption(
      option("--client-name <names>", "… and of these common names only, with commas", "CLIENT_NAME").argParser(names),
    )
    .addOption(flag("--own-path-token", "with --tls-secret: a secret in the path", "OWN_PATH_TOKEN"))
    .addOption(flag("--plain-http", "no TLS, behind a platform that ends it", "PLAIN_HTTP"))
    .addOption(
      option("--namespace <name>", "of --tls-secret (default: this pod's own)", "NAMESPACE").argParser(namespaceOption),
    )
    .addOption(certificateNames())
    .addOption(webhookConfiguration())
    .addOption(certificateLifetime())
    .addOption(caLifetime())
    .addOption(settleSeconds())
    .addOption(
      option("--drain-seconds <n>", "from not ready to closing, at SIGTERM", "DRAIN_SECONDS")
        .argParser(number(0, 300))
        .default(5),
    )
    .addOption(
      option("--reload-seconds <n>", "between looks at config and certificate", "RELOAD_SECONDS")
        .argParser(number(1, 3600))
        .default(10),
    )
    .addOption(
      option("--repair-seconds <n>", "between looks at the gateways' objects; 0: none", "REPAIR_SECONDS")
        .argParser(number(0, 3600))
        .default(30),
    )
    .addOption(flag("--workload-events", "an Event about the workload of a refused pod", "WORKLOAD_EVENTS"))
    .addOption(
      option("--log-level <level>", "of the log", "LOG_LEVEL")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .action(async (options: ServeOptions) => {
      await (await import("../serve/serve.ts")).serve(options);
    });
};

const addCerts = (program: Command, output: Output, end: End): void => {
  program
    .command("certs")
    .description("make, renew or rotate the webhook's certificate and its CA, and put the CA into caBundle")
    .addHelpText(
      "after",
      exampleCalls([
        "certs --tls-secret flowgen-gateway-webhook-tls -n flowgen-gateway-webhook --dry-run",
        "certs --out certs/ -n flowgen-gateway-webhook",
      ]) + exitCodes("it could not be done"),
    )
    .addOption(option("--cluster <where>", "the API server", "CLUSTER").choices(CLUSTERS).default("kubeconfig"))
    .addOption(new Option("--tls-secret <name>", "to the cluster: the Secret"))
    .addOption(new Option("--out <folder>", "to files: the folder"))
    .addOption(option("-n, --namespace <name>", "of the webhook", "NAMESPACE").argParser(namespaceOption))
    .addOption(certificateNames())
    .addOption(
      new Option(
        "--webhook-configuration <name>",
        "whose caBundle is kept (default: flowgen-gateway-webhook; with --out: none, a file instead)",
      ),
    )
    .addOption(certificateLifetime())
    .addOption(caLifetime())
    .addOption(settleSeconds())
    .addOption(new Option("--rotate", "another CA, due or not: as when a key is known to others").default(false))
    .addOption(new Option("--trusted", "with --out: the new CA is in caBundle by now").default(false))
    .addOption(new Option("--dry-run", "say what would be done, and why; change nothing").default(false))
    .action(async (options: CertsOptions) => {
      end(await (await import("../certs/certs.ts")).certs(options, output));
    });
};

const addDemo = (program: Command, output: Output, end: End): void => {
  program
    .command("demo")
    .description("the whole story on this machine, on a cluster in memory, over TLS")
    .addHelpText("after", exampleCalls(["demo"]) + exitCodes("something is not as it should be"))
    .action(async () => {
      end(await (await import("../demo/demo.ts")).demo(output));
    });
};

/** In the order of the help. Where the arguments begin with a command, no other is made. */
const COMMANDS: ReadonlyMap<string, (program: Command, output: Output, end: End) => void> = new Map([
  ["serve", addServe],
  ["inject", addInject],
  ["audit", addAudit],
  ["check", addCheck],
  ["explain", addExplain],
  ["reconcile", addReconcile],
  ["adopt", addAdopt],
  ["remove", addRemove],
  ["certs", addCerts],
  ["demo", addDemo],
]);

/** 2 for a mistake in the input or the options, shown without a stack; 70 (EX_SOFTWARE) for a fault of the program. */
const exitCodeOf = (error: unknown, output: Output): number => {
  if (error instanceof UsageError || error instanceof ManifestError) {
    output.err(`flowgen-gateway: ${error.message}\n`);
    return 2;
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  output.err(`${inspect(error)}\n`);
  return 70;
};

/** Commander answers `--help` behind an unknown command with the help of all: without it, the command is a mistake. */
const knownCommand = (program: Command, args: readonly string[]): readonly string[] => {
  const [name = ""] = args;
  const isKnown = name === "help" || program.commands.some((command) => command.name() === name);
  return isKnown || name === "" || name.startsWith("-") ? args : [name];
};

/**
 * Runs the command that the arguments name, with what the environment adds to them, and returns the exit code. `serve`
 * has begun to serve by then; a command is imported when it is run.
 */
export const runProgram = async (args: readonly string[], output: Output): Promise<number> => {
  let code = 0;
  const end: End = (ended) => (code = ended);
  // Subcommands inherit what is set before they are made: their mistakes too must end here.
  const program = new Command("flowgen-gateway")
    .description("Gives annotated flowgen pods a shared WireGuard gateway to their private targets.")
    .version(version)
    .configureOutput({ writeOut: output.out, writeErr: output.err })
    .exitOverride();
  const [name = ""] = args;
  const added = COMMANDS.has(name) ? [COMMANDS.get(name)] : COMMANDS.values();
  for (const add of added) add?.(program, output, end);
  try {
    await program.parseAsync(knownCommand(program, args), { from: "user" });
    return code;
  } catch (error) {
    return exitCodeOf(error, output);
  }
};
