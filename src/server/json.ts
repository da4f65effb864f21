/** Deeper than any pod, and far from the depth at which JSON.stringify ends with a RangeError (about 4,000). */
const MOST_LEVELS = 200;
/** A pod of the 1.5 MiB that etcd takes has fewer; 100,000 of the costliest are 0.1 s and 27 MiB. */
const MOST_VALUES = 100_000;
/** A text this short cannot cost much, whatever is in it: it is not counted first. Nearly every honest review is shorter. */
const UNCOUNTED_BYTES = 64 * 1024;

const QUOTE = 34;
const COMMA = 44;
const OPEN_LIST = 91;
const BACKSLASH = 92;
const CLOSE_LIST = 93;
const OPEN_MAP = 123;
const CLOSE_MAP = 125;

/**
 * Why a JSON text is not parsed; undefined: it may be. A parser makes an object of each `[` and of each `{},`, dozens of bytes for one or three,
 * so both are counted before there is any object. Costs a quarter of the parsing. Says nothing about a text that is not JSON.
 */
export const jsonProblem = (text: Uint8Array): string | undefined => {
  if (text.length <= UNCOUNTED_BYTES) return undefined;
  let levels = 0;
  let values = 0;
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at];
    if (byte === QUOTE) at = endOfString(text, at);
    else if (byte === COMMA) values += 1;
    else if (byte === OPEN_LIST || byte === OPEN_MAP) {
      levels += 1;
      values += 1;
      if (levels > MOST_LEVELS) return `more than ${MOST_LEVELS} levels of lists and maps`;
    } else if (byte === CLOSE_LIST || byte === CLOSE_MAP) levels -= 1;
    if (values > MOST_VALUES) return `more than ${MOST_VALUES} values`;
  }
  return undefined;
};

/** Where the string that begins at `from` ends; the text's end where it does not. */
const endOfString = (text: Uint8Array, from: number): number => {
  let at = from + 1;
  while (at < text.length && text[at] !== QUOTE) at += text[at] === BACKSLASH ? 2 : 1;
  return at;
};
