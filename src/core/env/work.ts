/**
 * The cost limit of one pod. Work is charged while it is done, in units of about a nanosecond. A pod's author can
 * multiply text by readers, references by their texts, and containers by named env: all of it spends one budget.
 */
export type Work = { left: number };

/**
 * Some 10 ms on one core, for each of the two or three times that an admission reads a pod. A pod of 10 targets and 5
 * containers with 200 env each, of which 100 hold targets in connection strings, takes 22 million.
 */
const BUDGET = 25_000_000;

export const workOf = (budget: number = BUDGET): Work => ({ left: budget });

/** Takes `units` off the budget; false: it is spent, and what is read from here on counts for nothing. */
export const charge = (work: Work, units: number): boolean => {
  work.left -= units;
  return work.left >= 0;
};

export const isSpent = ({ left }: Work): boolean => left < 0;

/** A patch holds no more operations, and no more text in their values: far above what any real pod needs. */
export const MOST_OPERATIONS = 4096;
export const MOST_PATCH_TEXT = 524_288;
/** Names that stand in the status; the API server takes 256 KiB of annotations. */
export const MOST_NAMES_TEXT = 65_536;

/**
 * Longer values are no client's address (a file, a certificate, a program): only their words are looked at. References
 * that make a value longer are not followed, because they could only blow it up.
 */
export const LONGEST_VALUE = 16_384;
