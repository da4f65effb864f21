/** The part of the documentation that is made from the code: what it says of a schema or a reason is what the program does. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { format } from "prettier";
import * as z from "zod";
import { entries } from "../src/core/annotation.ts";
import { config } from "../src/core/config/config.ts";
import { reasons } from "../src/core/reasons.ts";
import { checkCodes } from "../src/checks/codes.ts";
import type { CheckText } from "../src/checks/codes/text.ts";
import { documentedCommands } from "../src/checks/commands.ts";
import { messages } from "../src/checks/messages.ts";
import { checkReport } from "../src/commands/check/check.ts";
import { report } from "../src/commands/inject/report.ts";
import { CHART_SCHEMA, chartSchema } from "./chart-schema.ts";
import { MADE, markdown, PRINT_WIDTH, table } from "./markdown.ts";
import { withShapes } from "./shapes.ts";
import { metricsPage, warningsPage } from "./telemetry.ts";

type Schema = {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
};

const jsonSchema = (schema: z.ZodType, title: string): Schema =>
  ({ title, ...z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) }) as Schema;

const configSchema = jsonSchema(config, "Config of flowgen-gateway-webhook");
const reportSchema = jsonSchema(report, "What inject and audit print with -o json, version 1");
const checkSchema = jsonSchema(checkReport, "What check prints with -o json, version 1");
const targetsSchema = jsonSchema(entries, "flowgen.io/private-targets, long form");

/** Each file's path in this folder, and its text. */
export const generated = async (): Promise<Readonly<Record<string, string>>> => ({
  "schema/config.json": await format(JSON.stringify(configSchema), { parser: "json", printWidth: PRINT_WIDTH }),
  "schema/private-targets.json": await format(JSON.stringify(targetsSchema), {
    parser: "json",
    printWidth: PRINT_WIDTH,
  }),
  "schema/report.json": await format(JSON.stringify(reportSchema), { parser: "json", printWidth: 120 }),
  "schema/check.json": await format(JSON.stringify(checkSchema), { parser: "json", printWidth: PRINT_WIDTH }),
  [CHART_SCHEMA]: await format(JSON.stringify(chartSchema(configSchema), null, 2), { parser: "json", printWidth: 120 }),
  "annotations.md": await markdown(withShapes(readFileSync(join(import.meta.dirname, "annotations.md"), "utf8"))),
  "reference.md": await markdown(reference),
  "vpn-exports.md": await markdown(vpnExports()),
  "findings.md": await markdown(findingPage()),
  "messages.md": await markdown(messagePage()),
  "metrics.md": await markdown(await metricsPage()),
  "warnings.md": await markdown(warningsPage()),
  "reasons.md": await markdown(reasonTables()),
});

type Row = readonly [path: string, type: string, fallback: string, what: string];

const rows = (schema: Schema, path: string): readonly Row[] => {
  const list = [schema, ...(schema.anyOf ?? [])].find(({ items }) => items !== undefined);
  if (list?.items) return rows(list.items, `${path}[]`);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === "" ? name : `${path}.${name}`;
    const isRequired = schema.required?.includes(name) === true;
    const inner = rows(field, at);
    const hasFallback = field.default !== undefined && inner.length === 0;
    const fallback = isRequired ? "**needed**" : hasFallback ? `\`${JSON.stringify(field.default)}\`` : "";
    return [[at, typeOf(field), fallback, field.description ?? ""] as const, ...inner];
  });
};

const typeOf = ({ type, enum: words, anyOf }: Schema): string =>
  words?.join(", ") ?? type ?? [...new Set((anyOf ?? []).map(typeOf))].join(" or ");

const root = join(import.meta.dirname, "..");
/** The gateway's reading of each export in test/fixtures/vpn-exports: the output of its own script. */
const vpnExports = (): string => {
  const folder = join(root, "test/fixtures/vpn-exports");
  const lines = readdirSync(folder)
    .sort()
    .map((name) => {
      const input = readFileSync(join(folder, name));
      const text = input.toString(input[0] === 0xff ? "utf16le" : "utf8");
      const [, title = "", what = ""] = /^\uFEFF?# ([^:\n]+):? ?(.*)/.exec(text) ?? [];
      const { status, stdout, stderr } = spawnSync("sh", [join(root, "src/gateway/normalise.sh")], {
        input,
        encoding: "utf8",
      });
      const notes = [...stdout.matchAll(/^#note = (.*)/gm)].map(([, note = ""]) => note);
      const says = (status === 0 ? notes : stderr.trim().split("\n")).join("; ");
      return [title, what, status === 0 ? "works" : "refused", says];
    });
  return `${MADE}

# Your VPN's export

Put the file as it is into the tunnel's Secret. What is refused leaves the tunnel down (or the version that is in force,
where there is one), and the gateway's log says the same as here.

${table(["export", "what it has of its own", "", "what the log says"], lines)}
`;
};
const fields = (schema: Schema): string =>
  table(
    ["key", "type", "default", "what it says"],
    rows(schema, "").map(([path, ...rest]) => [`\`${path.replace(/^\[\]\./, "")}\``, ...rest]),
  );

const reference = `${MADE}

# Reference

Editors check and complete both with the JSON Schemas in [schema](schema): put this line first into the config,

\`\`\`yaml
# yaml-language-server: $schema=https://raw.githubusercontent.com/connve/flowgen-gateway-webhook/main/docs/schema/config.json
\`\`\`

Keys that are not listed are refused, with the nearest known one. What a schema cannot say (two forwards of one port, a default gateway that
does not exist) the program checks: \`flowgen-gateway audit -f FILE --config CONFIG\` tells.

## The config

${fields(configSchema)}

## The annotation \`flowgen.io/private-targets\`

A short list (\`mssql=10.0.0.5:1433, 10.0.0.6:5432\`), or a list in YAML or JSON of maps with these keys:

${fields(targetsSchema)}
`;

const OUTCOMES = {
  skip: "Let through unchanged.",
  inject: "Let through, with a patch.",
  audit: "Let through unchanged, and said what would have been done.",
  reject: "Denied. The message names the annotation, the entry, the value, the reason and the fix.",
  fail: "Answered with an HTTP error and no review: the webhook configuration's failurePolicy decides.",
} as const;

/** A function: the outcomes in their order, each with the codes that have it. */
const reasonTables = (): string => {
  const sections = Object.entries(OUTCOMES).map(([outcome, what]) => {
    const lines = Object.entries(reasons)
      .filter(([, reason]) => reason.outcome === outcome)
      .map(([code, reason]) => [
        `\`${code}\``,
        reason.says,
        "fix" in reason ? reason.fix : "",
        ...(outcome === "reject" ? ["code" in reason ? String(reason.code) : ""] : []),
      ]);
    return `## ${outcome}\n\n${what}\n\n${table(["code", "cause", "fix", ...(outcome === "reject" ? ["HTTP"] : [])], lines)}`;
  });
  const intro =
    "The code stands in the answer to `kubectl`, in the log (`reason`), in the metric `flowgen_gateway_admissions_total` and in the API server's audit log.";
  return `${MADE}\n\n# Outcomes and reasons\n\n${intro}\n\n${sections.join("\n\n")}\n`;
};

/** A heading for each code: a finding links to its own. */
const findingPage = (): string => {
  const sections = Object.entries(checkCodes).map(([code, { level, says, fix, run }]: [string, CheckText]) => {
    const command = run === undefined ? "" : `\n\n\`\`\`sh\n${documentedCommands(run).join("\n")}\n\`\`\``;
    return `### ${code}\n\n_${level}_: ${says}.\n\n**Fix**: ${fix}.${command}`;
  });
  return `${MADE}

# What \`check\` finds

\`check\` reads a cluster and names one cause and one fix for each thing that is not in order. It writes nothing; to see
whether the API server reaches the webhook it tries a pod in a dry run. What your rights do not show is \`unseen\`, with
the reason, and no error. Where a command mends it or shows more, \`check\` prints it with the names of what is broken.
It takes the form of the installation: \`helm\` for a release of Helm, else \`kubectl\`, and for a config that is a file
the file. \`YOUR-OVERLAY\` is the folder that you applied. Write a change of a ConfigMap into its \`config.yaml\` too: the
next \`kubectl apply -k\` undoes it else.

| command                      | looks at                                                                        |
| ---------------------------- | ------------------------------------------------------------------------------- |
| \`check --pre\`              | versions, nodes and your rights, before an installation                         |
| \`check config FILE\`        | a config, without a cluster                                                     |
| \`check\`                    | the installation: registration, certificate, rights, policies, gateways, Secrets |
| \`check deploy/NAME -n NS\`  | one workload: annotation, decision, pods, NetworkPolicy, Services, gateway      |

Exit codes: 0, also with warnings; 1 for an error (with \`--fail-on warning\` for a warning too); 2 for a wrong option, or
where the cluster or a file cannot be read. \`-o short\` prints what is not in order, \`-o json\` all of it
([schema](schema/check.json)). \`explain CODE\` prints one of these, or of the [reasons](reasons.md) of an admission.

${sections.join("\n\n")}
`;
};

/** The table of `explain "MESSAGE"`. */
const messagePage = (): string => {
  const code = (text: string): string => `\`${text}\``;
  const lines = messages.map(({ says, where, means, fix, run }) => [
    says.map(code).join(", ") + (where === undefined ? "" : ` (${where})`),
    means,
    fix,
    run === undefined ? "" : code(run),
  ]);
  return `${MADE}

# What flowgen says, and what it means

A flow that cannot connect says so in the words of its driver. \`explain "a piece of the message"\` prints the row of this
table. The command \`check\` ends with one cause and one fix. \`NAME\` and \`NS\` are your Deployment's name and namespace.

${table(["flowgen or its driver says", "what it means", "what to do", "command"], lines)}

\`kubectl describe replicaset -n NS\` shows why a Deployment has no pods. All findings of \`check\` are listed in
[findings](findings.md).
`;
};
