import { type Admission, warningsOf } from "../../core/admission.ts";

/** How many workloads ended how, and what else a run has read. */
export type Tally = {
  injected: number;
  rejected: number;
  unchanged: number;
  /** In audit mode: let through, with an account of what would be done. */
  audited: number;
  failed: number;
  warnings: number;
  /** Objects that have no pods. */
  others: number;
  /** Documents and files that could not be read. */
  unreadable: number;
};

export const emptyTally = (): Tally => ({
  ...{ injected: 0, rejected: 0, unchanged: 0, audited: 0, failed: 0 },
  ...{ warnings: 0, others: 0, unreadable: 0 },
});

const COUNTS = {
  inject: "injected",
  reject: "rejected",
  skip: "unchanged",
  audit: "audited",
  fail: "failed",
} as const satisfies Record<Admission["outcome"], keyof Tally>;

export const count = (tally: Tally, admission: Admission): void => {
  tally[COUNTS[admission.outcome]] += 1;
  tally.warnings += warningsOf(admission).length;
};

const amount = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;

/** One line for a person. */
export const tallyText = (
  tally: Tally,
  oneOther = "document of another kind",
  manyOthers = "documents of other kinds",
): string => {
  const { injected, rejected, unchanged, audited, failed, warnings, others, unreadable } = tally;
  const other = amount(others, oneOther, manyOthers);
  const isNothing = injected + rejected + unchanged + audited + failed === 0;
  const always = isNothing
    ? [`no workload found (${other})`]
    : [`${injected} injected`, `${rejected} rejected`, `${unchanged} unchanged`, other];
  const more = [
    [audited, `${audited} in audit mode`],
    [failed, `${failed} failed`],
    [warnings, amount(warnings, "warning", "warnings")],
    [unreadable, `${unreadable} not read`],
  ] as const;
  return [...always, ...more.filter(([n]) => n > 0).map(([, text]) => text)].join(", ");
};
