import { certificateFailures, certificateReasons } from "../../certificates/reasons.ts";
import { checkCodes } from "../../checks/codes.ts";
import type { CheckText } from "../../checks/codes/text.ts";
import { documentedCommands } from "../../checks/commands.ts";
import { DOCS, docsOf } from "../../checks/finding.ts";
import { type Message, messages, messagesWith } from "../../checks/messages.ts";
import { reasons } from "../../core/reasons.ts";
import { nearWord } from "../../core/schema.ts";
import type { Output } from "../options/output.ts";
import { aligned } from "../inject/report.ts";

type Explanation = {
  readonly code: string;
  readonly from: string;
  readonly says: string;
  readonly fix?: string;
  readonly run?: string;
};

const MESSAGES = `${DOCS}/messages.md`;

/** Every code that the program gives, from the tables that give it. A code may stand in two of them. */
const explanations: readonly Explanation[] = [
  ...Object.entries(reasons).map(([code, text]) => ({ ...text, code, from: `an admission ends as ${text.outcome}` })),
  ...Object.entries(checkCodes).map(([code, text]: [string, CheckText]) => ({
    ...text,
    ...(text.run !== undefined && { run: documentedCommands(text.run).join(`\n${" ".repeat("  run:   ".length)}`) }),
    ...{ code, from: `check: ${text.level}` },
  })),
  ...Object.entries(certificateReasons).map(([code, says]) => ({ code, from: "a certificate is written again", says })),
  ...Object.entries(certificateFailures).map(([code, says]) => ({
    code,
    from: "a certificate cannot be renewed",
    says,
  })),
];

/**
 * `explain CODE`: where the code is given, its cause, its fix. `explain "MESSAGE"`: the same of each message with this
 * piece. Without a text all codes and messages. Returns the exit code: 1 for a text that is neither.
 */
export const explain = async (text: string | undefined, { out, err }: Output): Promise<0 | 1> => {
  if (text === undefined) {
    await out(`${aligned(all()).join("\n")}\n`);
    return 0;
  }
  const found = [...explanationsOf(text).map(textOf), ...messagesWith(text).map(messageText)];
  if (found.length > 0) {
    await out(found.join("\n"));
    return 0;
  }
  const nearest = nearWord(
    codeIn(text),
    explanations.map(({ code }) => code),
  );
  const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  await err(`flowgen-gateway: explain: no such code or message${hint}; \`explain\` lists all, as does ${MESSAGES}\n`);
  return 1;
};

const all = (): readonly (readonly string[])[] => [
  ...explanations.map(({ code, from, says }) => [code, from, says]),
  ...messages.map(({ says, where, means }) => [`"${says.join('", "')}"`, where ?? "flowgen's log", means]),
];

/** A refusal's message holds its code. */
const REFUSAL = /denied the request: ([a-z-]+)/;
const codeIn = (text: string): string => text.trim().toLowerCase().replaceAll(/[_ ]/g, "-");
const explanationsOf = (text: string): readonly Explanation[] => {
  const code = REFUSAL.exec(text)?.[1] ?? codeIn(text);
  return explanations.filter((each) => each.code === code);
};

const linesOf = (head: string, { says, fix, run }: Omit<Explanation, "code" | "from">, page: string): string =>
  [
    head,
    `  cause: ${says}`,
    ...(fix === undefined ? [] : [`  fix:   ${fix}`]),
    ...(run === undefined ? [] : [`  run:   ${run}`]),
    `  see    ${page}`,
    "",
  ].join("\n");

const textOf = ({ code, from, ...rest }: Explanation): string => linesOf(`${code} (${from})`, rest, docsOf(code));

const messageText = ({ says, where, means, ...rest }: Message): string =>
  linesOf(`"${says.join('", "')}"${where === undefined ? "" : ` (${where})`}`, { ...rest, says: means }, MESSAGES);
