/**
 * How much of this process anybody may hold who reaches the port, the API server too. The chart's 256 MiB hold all of it at once. `npm run
 * bench:hostile` measures it.
 */
export type Limits = {
  /** Bytes of one body. */
  readonly body: number;
  /** Bytes of all bodies that are being read, and of the reviews that are being answered. */
  readonly bodies: number;
  /** From a request's first byte to the end of its head, from there to the end of its body, and for a TLS handshake; in milliseconds. */
  readonly arrivalMs: number;
  readonly connections: number;
  /** Connections that say nothing and never had a review answered. Above it, those go that have been silent for `arrivalMs`. */
  readonly silent: number;
  /** How long a connection may stay without a request; in milliseconds. */
  readonly idleMs: number;
};

/**
 * `body`: the API server takes request bodies up to 3 MiB (kube-apiserver `MaxRequestBodyBytes`); a review holds an object, an old object and a
 * little more: 7 MiB, as controller-runtime has it.
 *
 * `connections`: an API server opens one for each admission that waits (600 at most, by its own limit on requests under way), and keeps 25.
 *
 * `idleMs`: longer than the 90 s that the API server's pool keeps an idle connection (Go net/http), so the server never closes first. It holds for a
 * connection that has carried no request yet, too, because Go keeps spare ones; `silent` is more of them than API servers have.
 */
export const LIMITS: Limits = {
  body: 7 * 1024 * 1024,
  bodies: 16 * 1024 * 1024,
  arrivalMs: 10_000,
  connections: 1000,
  silent: 100,
  idleMs: 120_000,
};

/** Of the metrics' port, which has few callers: who collects them, and the kubelet. */
export const METRICS_LIMITS = { connections: 100, silent: 10 };

/** The API server's are UUIDs, of 36 characters. */
export const LONGEST_UID = 128;
/** Of a pod, which is a DNS name (RFC 1123). The API server asks before it has checked that. */
export const LONGEST_NAME = 253;
