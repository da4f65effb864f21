const UNIT_MS = { ms: 1, s: 1000, m: 60_000 } as const;

/** The default of `timeoutSeconds` (admissionregistration.k8s.io/v1), in milliseconds. */
const DEFAULT_MS = 10_000;
/** The maximum of `timeoutSeconds`, in milliseconds. */
const MAX_MS = 30_000;

/**
 * The deadline of a request's I/O. Its timer starts at the first use of `signal` (most requests have no I/O) and ends
 * with `lift`.
 */
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
 * Milliseconds that an admission may take: the request's `?timeout=` (a Go duration such as `10s` or `1m30s`) less a
 * fifth. The fifth is for the way of the answer, and at most one second. A timeout that cannot be read counts as the
 * default.
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
