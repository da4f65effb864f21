#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from "commander";
import type { AuditOptions } from "./commands/audit.ts";
import type { InjectOptions } from "./commands/inject.ts";
import type { ServeOptions } from "./commands/serve.ts";
import { CLUSTERS, UsageError, version } from "./commands/options.ts";

const number =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
const option = (flags: string, what: string, env: string): Option =>
  new Option(flags, what).env(`FLOWGEN_GATEWAY_${env}`);
const config = () => option("--config <file>", "the config, YAML or JSON", "CONFIG").default("config.yaml");
const file = () =>
  new Option("-f, --file <file>", "manifests, YAML or JSON; - is standard input").makeOptionMandatory();
const namespace = () => new Option("-n, --namespace <name>", "of workloads that name none").default("default");
const stdio = {
  out: (text: string) => {
    process.stdout.write(text);
  },
  err: (text: string) => {
    process.stderr.write(text);
  },
};

const program = new Command("flowgen-gateway")
  .description("Gives annotated flowgen pods a shared WireGuard gateway to their private targets.")
  .version(version());

program
  .command("serve")
  .description("run the webhook until SIGTERM")
  .addOption(config())
  .addOption(option("--cluster <where>", "the API server", "CLUSTER").choices(CLUSTERS).default("in-cluster"))
  .addOption(option("--host <address>", "to listen on", "HOST").default("::"))
  .addOption(
    option("--port <n>", "of the webhook (PORT of a serverless platform counts too)", "PORT")
      .argParser(number(0, 65535))
      .default(Number(process.env["PORT"] ?? 10250)),
  )
  .addOption(option("--metrics-port <n>", "of /metrics", "METRICS_PORT").argParser(number(0, 65535)).default(9090))
  .addOption(option("--tls-cert <file>", "PEM, read again when it changes", "TLS_CERT"))
  .addOption(option("--tls-key <file>", "PEM, read again when it changes", "TLS_KEY"))
  .addOption(option("--plain-http", "no TLS, behind a platform that ends it", "PLAIN_HTTP").default(false))
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
  .description("redirect workloads in manifests and add the gateway's; exit 1 when one is rejected")
  .addOption(file())
  .addOption(config())
  .addOption(namespace())
  .action(async (options: InjectOptions) => {
    process.exitCode = await (await import("./commands/inject.ts")).inject(options, stdio);
  });

program
  .command("audit")
  .description(
    "what enforce mode would do to workloads in manifests; changes nothing; exit 1 when one would be rejected",
  )
  .addOption(file())
  .addOption(config())
  .addOption(namespace())
  .addOption(new Option("-o, --output <format>", "of the account").choices(["table", "json"]).default("table"))
  .action(async (options: AuditOptions) => {
    process.exitCode = await (await import("./commands/audit.ts")).audit(options, stdio);
  });

program
  .command("demo")
  .description("the whole story on this machine, on a cluster in memory, over TLS")
  .action(async () => {
    process.exitCode = await (await import("./commands/demo.ts")).demo(stdio);
  });

program.exitOverride();
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCode(error);
}

/** 2 for a mistake of the caller's, shown without a stack; 70 (EX_SOFTWARE) for one of ours. */
function exitCode(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`flowgen-gateway: ${error.message}\n`);
    return 2;
  }
  const exit = (error as { exitCode?: unknown }).exitCode;
  if (typeof exit === "number") return exit === 0 ? 0 : 2;
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 70;
}
