import type { Range } from "./env-spots.ts";

/** A piece of an expanded text and where it came from. */
type Piece = { readonly at: Range; readonly source: Range; /** The env that it was taken from. */ readonly name?: string };
/** An env's value after Kubernetes' `$(NAME)` expansion. */
export type Expanded = { readonly text: string; readonly pieces: readonly Piece[]; /** References that cannot be followed. */ readonly unseen: readonly string[] };

/**
 * Expands `$(NAME)` as the kubelet does: with the env that stand before; what is not known stays as it is written, and `$$` is
 * a `$` (Kubernetes documentation, "Define dependent environment variables").
 */
export const expand = (value: string, known: ReadonlyMap<string, string>): Expanded => {
  if (!value.includes("$(")) return { text: value, pieces: [{ at: [0, value.length], source: [0, value.length] }], unseen: [] };
  const pieces: Piece[] = [];
  const unseen: string[] = [];
  let text = "";
  const push = (added: string, source: Range, name?: string): void => {
    pieces.push({ at: [text.length, text.length + added.length], source, ...(name !== undefined && { name }) });
    text += added;
  };
  let from = 0;
  for (const match of value.matchAll(/\$\$|\$\(([^()]*)\)/g)) {
    const end = match.index + match[0].length;
    push(value.slice(from, match.index), [from, match.index]);
    const [whole, name] = match;
    const found = name === undefined ? "$" : known.get(name);
    if (name !== undefined && found === undefined) unseen.push(name);
    push(found ?? whole, [match.index, end], found === undefined ? undefined : name);
    from = end;
  }
  push(value.slice(from), [from, value.length]);
  return { text, pieces, unseen };
};

export type Edit = { readonly at: Range; readonly text: string };

/**
 * Makes edits of an expanded text in the value that it came from. What lies in a reference is left to the env that is referred
 * to, if that one was edited so (`after`), else the whole reference is replaced. Undefined when an edit cannot be made: it
 * would cut a reference in two.
 */
export const editSource = (
  value: string,
  { text, pieces }: Expanded,
  edits: readonly Edit[],
  after: ReadonlyMap<string, string>,
): string | undefined => {
  const inSource: Edit[] = [];
  for (const edit of edits) {
    const piece = pieces.find(({ at }) => at[0] <= edit.at[0] && edit.at[1] <= at[1] && at[0] < at[1]);
    if (piece === undefined) return undefined;
    if (piece.name === undefined) {
      const shift = piece.source[0] - piece.at[0];
      inSource.push({ at: [edit.at[0] + shift, edit.at[1] + shift], text: edit.text });
      continue;
    }
    const before = text.slice(...piece.at);
    const isWhole = edit.at[0] === piece.at[0] && edit.at[1] === piece.at[1];
    const now = after.get(piece.name) ?? before;
    if (isWhole ? now === edit.text : now !== before) continue;
    if (!isWhole) return undefined;
    inSource.push({ at: piece.source, text: edit.text });
  }
  return applyEdits(value, inSource);
};

/** Applies edits that do not overlap. */
export const applyEdits = (value: string, edits: readonly Edit[]): string => {
  let out = "";
  let from = 0;
  for (const { at, text } of [...edits].sort((a, b) => a.at[0] - b.at[0])) {
    out += value.slice(from, at[0]) + text;
    from = at[1];
  }
  return out + value.slice(from);
};
