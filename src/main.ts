#!/usr/bin/env node
import { isIP } from "node:net";
import { inspect } from "node:util";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { CertsOptions } from "./commands/certs.ts";
import type { AuditOptions } from "./commands/audit.ts";
import type { InjectOptions } from "./commands/inject.ts";
import type { ServeOptions } from "./commands/serve.ts";
import { version } from "./files.ts";
import { CLUSTERS, UsageError } from "./commands/options.ts";

const number =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
const namespaceName = (text: string): string => {
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError("It is not a namespace's name: a-z, 0-9 and -, at most 63.");
};
const DAY_MS = 86_400_000;
const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: DAY_MS };
/** Ten minutes at least: replicas look at their certificates every few seconds, and the next one must have its time. */
const lifetime = (text: string): number => {
  const [, amount, unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const ms = Number(amount) * (UNITS[unit] ?? NaN);
  if (ms >= 10 * 60_000 && ms <= 3650 * DAY_MS) return ms;
  throw new InvalidArgumentError("It must be minutes, hours or days, as in 90d, 12h or 30m; 10m to 3650d.");
};
const serverNames = (text: string): readonly string[] => {
  const names = text.split(",").map((name) => name.trim().toLowerCase());
  const wrong = names.find((name) => isIP(name) === 0 && !/^(?=.{1,253}$)[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name));
  if (wrong === undefined) return names;
  throw new InvalidArgumentError(`${JSON.stringify(wrong)} is neither a DNS name nor an IP address.`);
};
const option = (flags: string, what: string, env: string): Option =>
  new Option(flags, what).env(`FLOWGEN_GATEWAY_${env}`);
/** Commander takes any value of a flag's environment variable as yes, `false` too. */
const flag = (flags: string, what: string, env: string): Option => {
  const value = process.env[`FLOWGEN_GATEWAY_${env}`] ?? "";
  const isSet = !["", "0", "false", "no"].includes(value.toLowerCase());
  return (isSet ? option(flags, what, env) : new Option(flags, what)).default(false);
};
const config = () => option("--config <file>", "the config, YAML or JSON", "CONFIG").default("config.yaml");
const file = () =>
  new Option("-f, --file <file>", "manifests, YAML or JSON; - is standard input").makeOptionMandatory();
const namespace = () =>
  option("-n, --namespace <name>", "of workloads that name none", "NAMESPACE")
    .argParser(namespaceName)
    .default("default");
const certificateNames = () =>
  option(
    "--tls-names <names>",
    "of the certificate, with commas (default: flowgen-gateway-webhook.<namespace>.svc)",
    "TLS_NAMES",
  ).argParser(serverNames);
const webhookConfiguration = () =>
  option("--webhook-configuration <name>", "whose caBundle is kept", "WEBHOOK_CONFIGURATION").default(
    "flowgen-gateway-webhook",
  );
const certificateLifetime = () =>
  option("--tls-lifetime <duration>", "of a certificate; it is renewed when a third is left", "TLS_LIFETIME")
    .argParser(lifetime)
    .default(90 * DAY_MS, "90d");
const caLifetime = () =>
  option("--tls-ca-lifetime <duration>", "of its CA; at least twice the certificate's", "TLS_CA_LIFETIME")
    .argParser(lifetime)
    .default(365 * DAY_MS, "365d");
const settleSeconds = () =>
  option("--tls-settle-seconds <n>", "from a new CA in caBundle to its first certificate", "TLS_SETTLE_SECONDS")
    .argParser(number(1, 86_400))
    .default(120);
const stdio = {
  out: (text: string) => {
    process.stdout.write(text);
  },
  err: (text: string) => {
    process.stderr.write(text);
  },
};
// Whoever reads our output may stop reading (`| head`): no reason to say anything.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

// Subcommands inherit what is set before they are made: their mistakes too must end here.
const program = new Command("flowgen-gateway")
  .description("Gives annotated flowgen pods a shared WireGuard gateway to their private targets.")
  .version(version)
  .exitOverride();

program
  .command("serve")
  .description("run the webhook until SIGTERM")
  .addOption(config())
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
  .addOption(option("--tls-secret <name>", "the webhook makes and renews its certificate in this Secret", "TLS_SECRET"))
  .addOption(flag("--plain-http", "no TLS, behind a platform that ends it", "PLAIN_HTTP"))
  .addOption(
    option("--namespace <name>", "of --tls-secret (default: this pod's own)", "NAMESPACE").argParser(namespaceName),
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
    option("--log-level <level>", "of the log", "LOG_LEVEL")
      .choices(["debug", "info", "warn", "error"])
      .default("info"),
  )
  .action(async (options: ServeOptions) => {
    await (await import("./commands/serve.ts")).serve(options);
  });

program
  .command("inject")
  .description("redirect workloads in manifests and add the gateway's manifests; the rest passes unchanged")
  .addHelpText("after", exitCodes("a workload is rejected: nothing is printed but the reasons"))
  .addOption(file())
  .addOption(config())
  .addOption(namespace())
  .action(async (options: InjectOptions) => {
    process.exitCode = await (await import("./commands/inject.ts")).inject(options, stdio);
  });

program
  .command("audit")
  .description("what enforce mode would do to workloads in manifests; changes nothing")
  .addHelpText("after", exitCodes("a workload would be rejected"))
  .addOption(file())
  .addOption(config())
  .addOption(namespace())
  .addOption(new Option("-o, --output <format>", "of the account").choices(["table", "json"]).default("table"))
  .action(async (options: AuditOptions) => {
    process.exitCode = await (await import("./commands/audit.ts")).audit(options, stdio);
  });

program
  .command("certs")
  .description("make, renew or rotate the webhook's certificate and its CA, and put the CA into caBundle")
  .addHelpText("after", exitCodes("it could not be done"))
  .addOption(option("--cluster <where>", "the API server", "CLUSTER").choices(CLUSTERS).default("kubeconfig"))
  .addOption(new Option("--tls-secret <name>", "to the cluster: the Secret"))
  .addOption(new Option("--out <folder>", "to files: the folder"))
  .addOption(option("-n, --namespace <name>", "of the webhook", "NAMESPACE").argParser(namespaceName))
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
    process.exitCode = await (await import("./commands/certs.ts")).certs(options, stdio);
  });

program
  .command("demo")
  .description("the whole story on this machine, on a cluster in memory, over TLS")
  .addHelpText("after", exitCodes("something is not as it should be"))
  .action(async () => {
    process.exitCode = await (await import("./commands/demo.ts")).demo(stdio);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCode(error);
}

function exitCodes(one: string): string {
  return `\nExit codes:\n  0  done\n  1  ${one}\n  2  an option, a file or the config is wrong`;
}

/** 2 for a mistake of the caller's, shown without a stack; 70 (EX_SOFTWARE) for one of ours. */
function exitCode(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`flowgen-gateway: ${error.message}\n`);
    return 2;
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  process.stderr.write(`${inspect(error)}\n`);
  return 70;
}
