import { plain } from "./message.ts";
import { annotation } from "./names.ts";

/**
 * API servers cut or drop longer ones, and take so many characters together (Kubernetes' admission webhook
 * documentation).
 */
const LONGEST_WARNING = 120;
const MOST_TOGETHER = 4096;
/** Before what goes on from the warning above. */
const GOES_ON = "… ";
/** The longest text from outside that is read for a warning: many times the length that is shown. */
const LONGEST_READ = 2 * MOST_TOGETHER;

/** A text in pieces of at most `LONGEST_WARNING` characters, between words where that can be: none is cut. */
export const pieces = (text: string): readonly string[] => {
  const found: string[] = [];
  let rest = plain(text, LONGEST_READ);
  while (rest.length > LONGEST_WARNING) {
    const space = rest.lastIndexOf(" ", LONGEST_WARNING);
    // A name of a Service is cut only where it is longer than a line.
    const end = space >= GOES_ON.length ? space : LONGEST_WARNING;
    found.push(rest.slice(0, end));
    rest = `${GOES_ON}${rest.slice(end).trimStart()}`;
  }
  return [...found, rest];
};

/** Warnings as the API server hands them on: as many as an answer may hold. The last says how many more there are. */
export const fitted = (warnings: readonly string[]): readonly string[] => {
  const shown: string[] = [];
  let left = MOST_TOGETHER - LONGEST_WARNING;
  for (const [index, warning] of warnings.entries()) {
    const texts = pieces(warning);
    left -= texts.reduce((sum, text) => sum + text.length, 0);
    if (left < 0) return [...shown, `and ${warnings.length - index} more: see ${annotation.status} and the log`];
    shown.push(...texts);
  }
  return shown;
};
