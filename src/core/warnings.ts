import { plain } from "./message.ts";
import { annotation } from "./names.ts";

/** API servers cut or drop longer ones, and take so many characters together (Kubernetes' admission webhook documentation). */
const LONGEST = 120;
const MOST_TOGETHER = 4096;

/** Warnings as the API server hands them on: as many as an answer may hold. The last says how many more there are. */
export const fitted = (warnings: readonly string[]): readonly string[] => {
  const shown: string[] = [];
  let left = MOST_TOGETHER - LONGEST;
  for (const [index, warning] of warnings.entries()) {
    const text = plain(warning, LONGEST);
    left -= text.length;
    if (left < 0) return [...shown, `and ${warnings.length - index} more: see ${annotation.status} and the log`];
    shown.push(text);
  }
  return shown;
};
