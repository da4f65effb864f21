/** Waiting for a state that no event announces, by repeated calls. */
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Asks every 100 ms until there is an answer, and returns it. After `limit` ms: an error that names `what`, and what
 * came `instead`.
 */
export const eventually = <T>(
  what: string,
  limit: number,
  ask: () => T | undefined | Promise<T | undefined>,
  instead: () => string | Promise<string> = () => "",
): Promise<T> => poll({ what: async () => `${what} ${await instead()}`, limit, pause: 100 }, ask);

/**
 * Asks every 20 ms until the answer is yes. Returns how many milliseconds that took; after `limit` ms an error that
 * names `what`.
 */
export const until = async (
  what: string | (() => string | Promise<string>),
  check: () => boolean | Promise<boolean>,
  limit = 15_000,
): Promise<number> => {
  const start = performance.now();
  const name = typeof what === "string" ? () => what : what;
  await poll({ what: name, limit, pause: 20 }, async () => (await check()) || undefined);
  return Math.round(performance.now() - start);
};

type Patience = { readonly what: () => string | Promise<string>; readonly limit: number; readonly pause: number };

const poll = async <T>({ what, limit, pause }: Patience, ask: () => T | Promise<T>): Promise<NonNullable<T>> => {
  const end = performance.now() + limit;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== null) return answer;
    if (performance.now() > end) throw new Error(`waited ${limit} ms: ${await what()}`);
    await sleep(pause);
  }
};
