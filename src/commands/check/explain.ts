import { certificateFailures, certificateReasons } from "../../certificates/reasons.ts";
import { checkCodes } from "../../checks/codes.ts";
import type { CheckText } from "../../checks/codes/text.ts";
import { DOCS, docsOf, inInstallation } from "../../checks/finding.ts";
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
    ...(text.run !== undefined && { run: inInstallation(text.run) }),
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
 * `explain CODE`: where the code is given, its cause, its fix; without a code all of them. Returns the exit code: 1 for
 * an unknown code.
 */
export const explain = async (code: string | undefined, { out, err }: Output): Promise<0 | 1> => {
  if (code === undefined) {
    await out(`${aligned(explanations.map((each) => [each.code, each.from, each.says])).join("\n")}\n`);
    return 0;
  }
  const written = code.trim().toLowerCase().replaceAll(/[_ ]/g, "-");
  const found = explanations.filter((each) => each.code === written);
  if (found.length === 0) {
    const nearest = nearWord(
      written,
      explanations.map((each) => each.code),
    );
    const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    const more = "`explain` lists all; what flowgen itself says is explained in";
    await err(`flowgen-gateway: explain: no such code${hint}; ${more} ${MESSAGES}\n`);
    return 1;
  }
  await out(found.map(textOf).join("\n"));
  return 0;
};

const textOf = ({ code, from, says, fix, run }: Explanation): string =>
  [
    `${code} (${from})`,
    `  cause: ${says}`,
    ...(fix === undefined ? [] : [`  fix:   ${fix}`]),
    ...(run === undefined ? [] : [`  run:   ${run}`]),
    `  see    ${docsOf(code)}`,
    "",
  ].join("\n");
