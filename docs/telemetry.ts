/** The pages of metrics and alerts, and of the warnings about env. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { noteText } from "../src/core/env/note.ts";
import type { LeftReason } from "../src/core/env/sighting.ts";
import { createMetrics } from "../src/server/metrics/metrics.ts";
import { MADE, table } from "./markdown.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

type Metric = { readonly name: string; readonly help: string; readonly type: unknown };

/** Of the webhook's own registry, without those of Node and the process. */
const webhookMetrics = async (): Promise<readonly (readonly string[])[]> => {
  const { registry } = createMetrics("");
  const metrics = (await registry.getMetricsAsJSON()) as readonly Metric[];
  return metrics
    .filter(({ name }) => name.startsWith("flowgen_gateway_"))
    .map(({ name, type, help }) => {
      const { labelNames = [] } = registry.getSingleMetric(name) as unknown as {
        readonly labelNames?: readonly string[];
      };
      return [`\`${name}\``, String(type), labelNames.map((label) => `\`${label}\``).join(", "), help];
    });
};

/** The lines HELP and TYPE of the gateway's script. */
const gatewayMetrics = (): readonly (readonly string[])[] =>
  [...read("src/gateway/metrics.sh").matchAll(/^ +metric\("(\w+)", "(\w+)", "(.+)"\)$/gm)].map(
    ([, name = "", type = "", help = ""]) => [`\`flowgen_gateway_${name}\``, type, help],
  );

type Rule = {
  readonly alert: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook_url: string };
};
const alerts = (): readonly (readonly string[])[] => {
  const { groups } = parse(read("deploy/grafana/alerts.yaml")) as {
    readonly groups: readonly { readonly rules: readonly Rule[] }[];
  };
  return groups
    .flatMap(({ rules }) => rules)
    .map((rule) => {
      const { summary, runbook_url: runbook } = rule.annotations;
      const link = `[\`${rule.alert}\`](operations.md${runbook.slice(runbook.indexOf("#"))})`;
      return [
        link,
        rule.labels.severity,
        rule.for ?? "",
        summary.replaceAll(/\{\{ *\$(?:labels\.)?(\w+).*?\}\}/g, "<$1>").replaceAll("<", "\\<"),
      ];
    });
};

export const metricsPage = async (): Promise<string> => `${MADE}

# Metrics and alerts

## Of the webhook

On the metrics' port (\`--metrics-port\`), with those of Node and of the process beside them. Every series of a reason begins
at 0.

${table(["metric", "type", "labels", "says"], await webhookMetrics())}

## Of a gateway's pod

On port 65534, each with \`gateway\` ([labels](gateway.md#its-metrics)).

${table(["metric", "type", "says"], gatewayMetrics())}

## Alerts

\`deploy/grafana/alerts.yaml\`, or \`prometheus.rules.enabled\` of the chart. Each leads to its runbook.

${table(["alert", "severity", "after", "says"], alerts())}
`;

/** Why a host stays, and what helps. */
const LEFT: Readonly<Record<LeftReason, string>> = {
  path: "nothing, where it is a path; a server's address there: name the env in `hostEnv`",
  network: "nothing: a network is no server",
  range: "nothing: a range is no server",
  value: "nothing, where it is a password or a text",
  udp: "no gateway carries UDP: use TCP, or another way",
  share: "no gateway carries file shares by their path: name the server by `aliases`",
  "hosts-line": "use the annotation's `aliases` in place of a hosts file",
  numeric: "write `host=` in place of `hostaddr=`",
  srv: "write a `mongodb://` URL with each member",
  joined: "write the host into one env",
  split: "name the env of each target in `hostEnv`",
  long: "write the value without so many references",
};

const HOST = "10.0.0.5";
const notes = (): readonly (readonly string[])[] => [
  [noteText("NAME", { kind: "port", port: 1433 }, [HOST], [14333]), "correct the port in the annotation or in the env"],
  [
    noteText("NAME", { kind: "unread" }, [HOST], []),
    "nothing: the host was replaced, and leads to a Service that has this host's targets only",
  ],
  [noteText("NAME", { kind: "instance" }, [HOST], []), "write `host,port` in place of the instance"],
  ...Object.entries(LEFT).map(([why, fix]) => [
    noteText("NAME", { kind: "left", why: why as LeftReason }, [HOST], []),
    fix,
  ]),
];

export const warningsPage = (): string => `${MADE}

# Warnings about env

What \`kubectl\`, \`audit\` and the log say of an env (or an argument, a command, a probe) that holds a target's host and was
not rewritten, or not understood. All such places stand in the pod's \`flowgen.io/gateway-status\` too
([which env is rewritten](annotations.md#which-env-is-rewritten)).

${table(
  ["warning", "what to do"],
  notes().map(([text = "", fix = ""]) => [`\`${text}\``, fix]),
)}
`;
