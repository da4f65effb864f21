/** The options that more than one command has, and how an option is also read from the environment. */
import { Option } from "commander";
import { DAY_MS, lifetime, namespaceOption, number, serverNames } from "./values.ts";

/** The end of a command's help. `one`: what exit code 1 means. */
export const exitCodes = (one: string): string =>
  `\nExit codes:\n  0  done\n  1  ${one}\n  2  an option, a file or the config is wrong`;

/** Calls of the program in a command's help, without the program's name. */
export const exampleCalls = (lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  flowgen-gateway ${line}\n`).join("")}`;

/** Takes a command's exit code. */
export type End = (code: number) => void;

/** An option that `FLOWGEN_GATEWAY_<env>` sets too. */
export const option = (flags: string, what: string, env: string): Option =>
  new Option(flags, what).env(`FLOWGEN_GATEWAY_${env}`);

/** Commander takes any value of a flag's environment variable as yes, `false` too. */
export const flag = (flags: string, what: string, env: string): Option => {
  const value = process.env[`FLOWGEN_GATEWAY_${env}`] ?? "";
  const isSet = !["", "0", "false", "no"].includes(value.toLowerCase());
  return (isSet ? option(flags, what, env) : new Option(flags, what)).default(false);
};

export const configOption = (): Option =>
  option("--config <file>", "the config, YAML or JSON", "CONFIG").default("config.yaml");

const collected = (value: string, before: readonly string[]): readonly string[] => [...before, value];
const none: readonly string[] = [];

/** The options of the commands on manifests; -f and -k may stand several times. */
export const manifestOptions = (): readonly Option[] => [
  new Option("-f, --file <path>", "manifests, YAML or JSON: a file, a folder, or - for standard input")
    .argParser(collected)
    .default(none, "none"),
  new Option("-R, --recursive", "folders with all that is below them").default(false),
  new Option("-k, --kustomize <folder>", "what kubectl or kustomize builds of a kustomization")
    .argParser(collected)
    .default(none, "none"),
  configOption(),
  option("-n, --namespace <name>", "of workloads that name none", "NAMESPACE").argParser(namespaceOption),
  liveCluster(),
  new Option("--diff", "show what each changed env becomes, passwords masked").default(false),
  new Option("--fail-on <what>", "what makes the exit code 1").choices(["reject", "warning"]).default("reject"),
];

/** Not read from the environment: a pod's own setting of `serve` must not send an offline command to the cluster. */
const liveCluster = (): Option =>
  new Option("--cluster <where>", "whose forward table is read (default: none, an empty table)").choices([
    "in-cluster",
    "kubeconfig",
  ]);

export const certificateNames = (): Option =>
  option(
    "--tls-names <names>",
    "of the certificate, with commas (default: flowgen-gateway-webhook.<namespace>.svc)",
    "TLS_NAMES",
  ).argParser(serverNames);

export const webhookConfiguration = (): Option =>
  option("--webhook-configuration <name>", "whose caBundle is kept", "WEBHOOK_CONFIGURATION").default(
    "flowgen-gateway-webhook",
  );

export const certificateLifetime = (): Option =>
  option("--tls-lifetime <duration>", "of a certificate; it is renewed when a third is left", "TLS_LIFETIME")
    .argParser(lifetime)
    .default(90 * DAY_MS, "90d");

export const caLifetime = (): Option =>
  option("--tls-ca-lifetime <duration>", "of its CA; at least twice the certificate's", "TLS_CA_LIFETIME")
    .argParser(lifetime)
    .default(365 * DAY_MS, "365d");

export const settleSeconds = (): Option =>
  option("--tls-settle-seconds <n>", "from a new CA in caBundle to its first certificate", "TLS_SETTLE_SECONDS")
    .argParser(number(1, 86_400))
    .default(120);
