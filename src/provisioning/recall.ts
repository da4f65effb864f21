/** The cache of a lane: pods that it answers from there cost no call of the API server. */
import type { Config } from "../core/config/config.ts";
import { CACHE_MS } from "../core/forwards/retire.ts";
import type { Want } from "../core/target.ts";
import type { Provisioned } from "./attempt.ts";

/** `readAt`: when the reading began, in milliseconds of `now`. */
type Since = { readonly config: Config; readonly readAt: number };
/** The assignments of the table; `found` is undefined for wants that it lacks. */
type TableKept = Since & {
  readonly assignedBy: (wants: readonly Want[]) => { readonly found: Provisioned | undefined };
};
/** The answers for pods for which nothing is written. */
type PreviewsKept = Since & { readonly of: (wants: readonly Want[]) => Provisioned };

type Question = { readonly config: Config; readonly wants: readonly Want[]; readonly write: boolean };

export type Recall = {
  readonly answer: (question: Question) => Provisioned | undefined;
  /** The table was written: what was read before says nothing any more of pods that it lacks. */
  readonly keepTable: (kept: TableKept) => void;
  readonly keepPreviews: (kept: PreviewsKept) => void;
};

/** `now`: milliseconds, monotonic. */
export const createRecall = (now: () => number): Recall => {
  let table: TableKept | undefined;
  let previews: PreviewsKept | undefined;
  const isFresh = (kept: Since | undefined): boolean => kept !== undefined && now() - kept.readAt <= CACHE_MS;
  return {
    answer: ({ config, wants, write }) => {
      const found = table?.config === config && isFresh(table) ? table.assignedBy(wants).found : undefined;
      if (found !== undefined || write) return found;
      return previews?.config === config && isFresh(previews) ? previews.of(wants) : undefined;
    },
    keepTable: (kept) => {
      table = kept;
      previews = undefined;
    },
    keepPreviews: (kept) => {
      previews = kept;
    },
  };
};
