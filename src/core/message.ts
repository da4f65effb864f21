/** The message of a thrown value. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * A text that looks as if a password were in it, as a URL with credentials does that was pasted where a host belongs.
 * It is never shown.
 */
export const mayHoldPassword = (text: string): boolean => /@|passw|pwd/i.test(text);

/**
 * A hint to end a message with; nothing where there is none to give, and where it would show a piece of a hidden value.
 */
export const didYouMean = (value: string, nearest: string | undefined): string =>
  nearest === undefined || mayHoldPassword(value) ? "" : `; did you mean ${nearest}?`;

/** C0, DEL and C1; what ends a line; what hides text or turns its direction. */

const CONTROL = /[\0-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/**
 * A text from outside (a label's key, the name of an env or a container), safe for an answer, a log or a terminal. It
 * is on one line, no longer than `most` characters. A character that would steer a terminal becomes an escape such as
 * `\u001b`.
 */
export const plain = (text: string, most: number): string => {
  const cut = text.length <= most ? text : `${text.slice(0, most - 1)}…`;
  return cut.replace(CONTROL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
};

/** Longer names are cut: Kubernetes knows none (a label's key has 317 characters at most, names have 253). */
const LONGEST_NAME = 317;

/** Names in a message: the first `most`, each by `plain`, and how many more there are. */
export const listed = (names: readonly string[], most = 10, separator = ", "): string => {
  const shown = names
    .slice(0, most)
    .map((name) => plain(name, LONGEST_NAME))
    .join(separator);
  return names.length <= most ? shown : `${shown} and ${names.length - most} more`;
};
