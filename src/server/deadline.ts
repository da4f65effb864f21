const UNIT_MS = { ms: 1, s: 1000, m: 60_000 } as const;

/** What the API server waits when it does not say (admissionregistration.k8s.io/v1 `timeoutSeconds`). */
const DEFAULT_MS = 10_000;
/** The longest that it ever waits. */
const MAX_MS = 30_000;

/** The end of a request's I/O, which most requests have none of: the time counts once `signal` is asked for, until `lift`. */
export const createDeadline = (timeout: unknown): { readonly signal: () => AbortSignal; readonly lift: () => void } => {
  let controller: AbortController | undefined;
  let timer: NodeJS.Timeout | undefined;
  const start = (): AbortController => {
    const started = new AbortController();
    timer = setTimeout(() => started.abort(), deadlineMs(timeout));
    return started;
  };
  return {
    signal: () => (controller ??= start()).signal,
    lift: () => {
      clearTimeout(timer);
    },
  };
};

/**
 * Milliseconds that an admission may take: the request's `?timeout=` (a Go duration such as `10s` or `1m30s`) less a margin for
 * the answer to travel: a fifth, at most one second. What cannot be read counts as the default.
 */
export const deadlineMs = (timeout: unknown): number => {
  const total = typeof timeout === "string" ? durationMs(timeout) : undefined;
  const waits = Math.min(total ?? DEFAULT_MS, MAX_MS);
  return waits - Math.min(1000, waits / 5);
};

const durationMs = (text: string): number | undefined => {
  if (!/^(\d{1,9}(\.\d{1,9})?(ms|s|m))+$/.test(text)) return undefined;
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m)/g);
  const sum = [...parts].reduce(
    (ms, [, amount, unit]) => ms + Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS],
    0,
  );
  return sum > 0 ? sum : undefined;
};
