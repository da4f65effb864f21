import { createHash, timingSafeEqual } from "node:crypto";

/**
 * Compares a caller's token with the secret part of the webhook's path. The time of the comparison reveals nothing of
 * either: it compares digests, which have one length.
 */
export const tokenMatcher = (token: string): ((given: string) => boolean) => {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  const expected = digest(token);
  return (given) => timingSafeEqual(digest(given), expected);
};

/** Tokens that come and go with a certificate that the webhook keeps itself. */
export type OwnPath = {
  readonly isTaken: (given: string) => boolean;
  /** Reviews without a token are refused. */
  readonly isNeeded: () => boolean;
  /** From the next request on. */
  readonly set: (tokens: readonly string[], isNeeded: boolean) => void;
};

export const createOwnPath = (): OwnPath => {
  let matchers: readonly ((given: string) => boolean)[] = [];
  let isNeeded = false;
  return {
    isTaken: (given) => matchers.some((isToken) => isToken(given)),
    isNeeded: () => isNeeded,
    set: (tokens, needed) => {
      matchers = tokens.map(tokenMatcher);
      isNeeded = needed;
    },
  };
};

export const LONGEST_TOKEN = 256;

/**
 * Why a text is no path token; undefined: it is one. A token is too long to be guessed, and its characters need no
 * escape in a URL.
 */
export const pathTokenProblem = (token: string): string | undefined =>
  /^[A-Za-z0-9_-]{32,}$/.test(token) && token.length <= LONGEST_TOKEN
    ? undefined
    : `it must be 32 to ${LONGEST_TOKEN} characters of A-Z a-z 0-9 _ -`;
