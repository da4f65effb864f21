/** A stretch of a string, and what is put in its place; `start === end`: an insertion. */
export type Edit = { readonly start: number; readonly end: number; readonly text: string };

export const inOrder = (a: Edit, b: Edit): number => a.start - b.start;

/** The text with the edits made, which are in order and do not overlap. */
export const applyEdits = (text: string, edits: readonly Edit[]): string => {
  let out = "";
  let at = 0;
  for (const { start, end, text: put } of edits) {
    out += text.slice(at, start) + put;
    at = end;
  }
  return out + text.slice(at);
};
