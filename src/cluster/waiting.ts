import { setTimeout as sleep } from "node:timers/promises";
import { ClusterError } from "./cluster.ts";

/**
 * The pause before the next attempt, in milliseconds: exponential with full jitter (10 ms doubling to 1 s), or the API
 * server's Retry-After.
 */
export const delayMs = (error: unknown, attempts: number, random: number): number =>
  (error instanceof ClusterError ? error.retryAfterMs : undefined) ?? random * Math.min(1000, 10 * 2 ** attempts);

/** Sleeps; rejects when `signal` aborts. */
export const sleepUnless = (ms: number, signal: AbortSignal): Promise<unknown> => sleep(ms, undefined, { signal });

/** Aborts when all of them have aborted: a shared write goes on while one admission still waits for it. */
export const whenAllAbort = (signals: readonly AbortSignal[]): AbortSignal => {
  const controller = new AbortController();
  let waiting = signals.length;
  const one = (): void => {
    waiting -= 1;
    if (waiting === 0) controller.abort();
  };
  for (const signal of signals) {
    if (signal.aborted) one();
    else signal.addEventListener("abort", one, { once: true });
  }
  return controller.signal;
};

/** Ends when `signal` does, and after `ms` by itself; `lift` when the work is done. */
export const atMost = (
  ms: number,
  signal: AbortSignal,
): { readonly signal: AbortSignal; readonly lift: () => void } => {
  const timer = new AbortController();
  const timeout = setTimeout(() => {
    timer.abort();
  }, ms);
  return {
    signal: AbortSignal.any([signal, timer.signal]),
    lift: () => {
      clearTimeout(timeout);
    },
  };
};

/** Waits at most a second for optional work, and ignores its failure. */
export const bestEffort = async (signal: AbortSignal, work: (soon: AbortSignal) => Promise<unknown>): Promise<void> => {
  const soon = atMost(1000, signal);
  await work(soon.signal).catch(() => undefined);
  soon.lift();
};
