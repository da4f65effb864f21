/** Moves over the bytes of a JSON text, and counts its values. */

export const BACKSLASH = 92;
export const QUOTE = 34;
export const COMMA = 44;
export const COLON = 58;
export const OPEN_LIST = 91;
export const CLOSE_LIST = 93;
export const OPEN_MAP = 123;
export const CLOSE_MAP = 125;

const [OTHER, STRING, OPEN, NEXT, CLOSE] = [0, 1, 2, 3, 4];
/** The meaning of a byte outside of a string. Most bytes mean nothing: one look is enough for them. */
const SIGNS = new Uint8Array(256);
SIGNS[QUOTE] = STRING;
SIGNS[OPEN_LIST] = SIGNS[OPEN_MAP] = OPEN;
SIGNS[COMMA] = NEXT;
SIGNS[CLOSE_LIST] = SIGNS[CLOSE_MAP] = CLOSE;

const isSpace = (byte: number | undefined): boolean => byte === 32 || byte === 10 || byte === 13 || byte === 9;

/** Where the quote is that ends the string which begins at `from`; behind the text's end where none does. */
export const endOfString = (text: Buffer, from: number): number => {
  const { length } = text;
  let at = from + 1;
  for (; at < length; at += 1) {
    const byte = text[at];
    if (byte === QUOTE) break;
    if (byte === BACKSLASH) at += 1;
  }
  return at;
};

/** Deeper than any pod, and far from the depth at which JSON.stringify ends with a RangeError (about 4,000). */
export const MOST_LEVELS = 200;
/** A pod of the 1.5 MiB that etcd takes has fewer. */
export const MOST_VALUES = 100_000;

/** A text while it is looked through. */
export type Scan = {
  readonly text: Buffer;
  /** The byte that is looked at. */
  at: number;
  levels: number;
  values: number;
};

export const skipSpace = (scan: Scan): void => {
  while (isSpace(scan.text[scan.at])) scan.at += 1;
};

/** Moves behind a value of any type. */
export const skipValue = (scan: Scan): void => {
  const { text, levels: outside } = scan;
  const { length } = text;
  let { at, levels, values } = scan;
  for (; at < length && levels <= MOST_LEVELS && values <= MOST_VALUES; at += 1) {
    const sign = SIGNS[text[at] as number];
    if (sign === OTHER) continue;
    if (sign === STRING) at = endOfString(text, at);
    else if (sign === OPEN) {
      levels += 1;
      values += 1;
    } else {
      if (levels === outside) break;
      if (sign === NEXT) values += 1;
      else levels -= 1;
    }
  }
  scan.at = at;
  scan.levels = levels;
  scan.values = values;
};
