import type { Edit } from "../edit.ts";

/** A stretch of an expanded value: `at`–`end` there, `from`–`to` in the value as written; `env`: which env it comes from. */
export type Piece = {
  readonly at: number;
  readonly end: number;
  readonly from: number;
  readonly to: number;
  readonly env?: number;
};
/** A value as the container sees it. No pieces: it was written so. */
export type Expanded = { readonly text: string; readonly pieces: readonly Piece[] };

const NONE: readonly Piece[] = [];
/** A value without references. */
export const literal = (text: string): Expanded => ({ text, pieces: NONE });

/** Longer values are no host and no URL: following them could only blow a value up. */
const LONGEST_TEXT = 16_384;
/** No address is put together from more. */
const MOST = 64;

/**
 * Follows `$(VAR)` as Kubernetes does ("Define Dependent Environment Variables"): to variables defined earlier in the
 * same container. `$$` escapes. What is not known stays as it is written.
 */
export const expand = (raw: string, lookup: (name: string) => { env: number; text: string } | undefined): Expanded => {
  if (!raw.includes("$(")) return literal(raw);
  const pieces: Piece[] = [];
  let text = "";
  let done = 0;
  const take = (upTo: number): void => {
    if (upTo > done) pieces.push({ at: text.length, end: text.length + upTo - done, from: done, to: upTo });
    text += raw.slice(done, upTo);
    done = upTo;
  };
  for (const match of raw.matchAll(/\$\$|\$\(([^()$]*)\)/g)) {
    const found = match[1] === undefined ? undefined : lookup(match[1]);
    if (found === undefined || text.length + found.text.length > LONGEST_TEXT || pieces.length > 2 * MOST) continue;
    take(match.index);
    done = match.index + match[0].length;
    pieces.push({ at: text.length, end: text.length + found.text.length, from: match.index, to: done, env: found.env });
    text += found.text;
  }
  take(raw.length);
  return { text, pieces };
};

/** What an expanded value's stretch becomes when every referenced env has its new text; undefined: it cuts through one. */
const becomes = (
  { text, pieces }: Expanded,
  { start, end }: Edit,
  after: (env: number) => string,
): string | undefined => {
  let out = "";
  for (const piece of pieces.filter(({ at, end: stop }) => at < end && stop > start)) {
    if (piece.env === undefined) out += text.slice(Math.max(start, piece.at), Math.min(end, piece.end));
    else if (piece.at < start || piece.end > end) return undefined;
    else out += after(piece.env);
  }
  return out;
};

/** Whether a referenced env makes the edit by itself: the edit lies within it, and it is edited. */
const isMadeThere = ({ pieces }: Expanded, edit: Edit, isEdited: (env: number) => boolean): boolean =>
  pieces.some(({ at, end, env }) => env !== undefined && at <= edit.start && end >= edit.end && isEdited(env));

/** Where an expanded position stands in the value as written, at the beginning or the end of what it belongs to. */
const source = (pieces: readonly Piece[], position: number, side: "start" | "end"): number => {
  const piece = (
    side === "start" ? pieces.findLast(({ at }) => at <= position) : pieces.find(({ end }) => end >= position)
  ) as Piece;
  if (piece.env === undefined) return piece.from + position - piece.at;
  return side === "start" ? piece.from : piece.to;
};

/** Edits of an expanded value as edits of the value as written; undefined: a reference holds half of an address. */
export const toSource = (
  expanded: Expanded,
  edits: readonly Edit[],
  after: (env: number) => string,
  isEdited: (env: number) => boolean,
): readonly Edit[] | undefined => {
  if (expanded.pieces.length === 0)
    return edits.filter((edit) => expanded.text.slice(edit.start, edit.end) !== edit.text);
  const own: Edit[] = [];
  for (const edit of edits) {
    const isInsertion = edit.start === edit.end;
    const isInside = expanded.pieces.some(
      ({ at, end, env }) => env !== undefined && at < edit.start && end > edit.start,
    );
    const now = isInsertion ? (isInside ? undefined : "") : becomes(expanded, edit, after);
    if (now === edit.text) continue;
    if (now === undefined) {
      const isKept = expanded.text.slice(edit.start, edit.end) === edit.text;
      if (!isKept && !isMadeThere(expanded, edit, isEdited)) return undefined;
      continue;
    }
    const end = source(expanded.pieces, edit.end, "end");
    own.push({ start: isInsertion ? end : source(expanded.pieces, edit.start, "start"), end, text: edit.text });
  }
  return own;
};
