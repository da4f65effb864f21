import type { Span } from "./places/place.ts";
import { charge, LONGEST_VALUE, type Work } from "./work.ts";

/** A stretch of an expanded value: `at`–`end` there; `from` in the value as written; `env`: the env that brings it. */
export type Piece = { readonly at: number; readonly end: number; readonly from: number; readonly env?: number };

/** A value as the container sees it. No pieces: it is written so. */
export type Expanded = { readonly text: string; readonly pieces: readonly Piece[] };

/** The result of a reference: the env, and its text. */
export type Referred = { readonly env: number; readonly text: string };

/**
 * Whether an env may bring the text of another. A longer value is not followed, so nothing is looked for in it: to find
 * two characters in megabytes of the first one takes long.
 */
export const hasReference = (value = ""): boolean => value.length <= LONGEST_VALUE && value.includes("$(");

/**
 * Follows `$(VAR)` as Kubernetes does (k8s.io/kubernetes/third_party/forked/golang/expansion): to variables defined
 * earlier in the same container. `$$` is a `$`; what is not known stays as it is written. Undefined: the value would be
 * too long.
 */
export const expand = (
  raw: string,
  lookup: (name: string) => Referred | undefined,
  work: Work,
): Expanded | undefined => {
  const pieces: Piece[] = [];
  let text = "";
  let done = 0;
  const take = (upTo: number): void => {
    if (upTo > done) pieces.push({ at: text.length, end: text.length + upTo - done, from: done });
    text += raw.slice(done, upTo);
    done = upTo;
  };
  for (let at = raw.indexOf("$"); at >= 0; at = raw.indexOf("$", Math.max(at + 1, done))) {
    if (!charge(work, 100)) return undefined;
    if (raw[at + 1] === "$") {
      take(at + 1);
      done = at + 2;
    }
    const close = raw[at + 1] === "(" ? raw.indexOf(")", at) : -1;
    const found = close < 0 ? undefined : lookup(raw.slice(at + 2, close));
    if (found === undefined) {
      if (raw[at + 1] !== "(") continue;
      if (close < 0) break;
      take(close + 1);
      continue;
    }
    if (text.length + found.text.length > LONGEST_VALUE) return undefined;
    take(at);
    done = close + 1;
    pieces.push({ at: text.length, end: text.length + found.text.length, from: at, env: found.env });
    text += found.text;
  }
  take(raw.length);
  charge(work, 4 * text.length);
  return { text, pieces };
};

/** The piece that holds a whole stretch; undefined: the stretch crosses from one to another. */
export const pieceOf = ({ pieces }: Expanded, { start, end }: Span): Piece | undefined => {
  let low = 0;
  let high = pieces.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((pieces[middle] as Piece).at <= start) low = middle;
    else high = middle - 1;
  }
  const piece = pieces[low];
  return piece !== undefined && piece.end >= end ? piece : undefined;
};

/** The names that a text refers to as `$(NAME)`, as `expand` reads it. */
export const referencesIn = (text: string, work: Work): readonly string[] => {
  const names: string[] = [];
  expand(text, (name) => void names.push(name), work);
  return names;
};
