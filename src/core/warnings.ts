import { annotation } from "./names.ts";

/** API servers cut or drop longer ones, and take so many characters together (Kubernetes' admission webhook documentation). */
const LONGEST = 120;
const MOST_TOGETHER = 4096;

/** A warning as it is shown: short enough, and no character that a terminal would act on. */
export const cut = (text: string): string => {
  const shown = text.replaceAll(/[\p{Cc}\p{Cf}]/gu, "?");
  return shown.length <= LONGEST ? shown : `${shown.slice(0, LONGEST - 1)}…`;
};

/** As many warnings as an answer may hold; the last says how many more there are. */
export const fitted = (warnings: readonly string[]): readonly string[] => {
  const shown: string[] = [];
  let left = MOST_TOGETHER - LONGEST;
  for (const [index, warning] of warnings.entries()) {
    const text = cut(warning);
    left -= text.length;
    if (left < 0) return [...shown, `and ${warnings.length - index} more: see ${annotation.status} and the log`];
    shown.push(text);
  }
  return shown;
};
