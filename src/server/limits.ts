/**
 * Limits on the resources that any caller may take, the API server included. The chart's memory limit of 256 MiB holds
 * all of them at once (npm run bench:hostile).
 */
export type Limits = {
  /** Bytes of one body. */
  readonly body: number;
  /** Bytes of all bodies that are being read, and of the reviews that are being answered. */
  readonly bodies: number;
  /** Milliseconds for the head of a request (from its first byte), then for its body, and for a TLS handshake. */
  readonly arrivalMs: number;
  readonly connections: number;
  /**
   * Connections that say nothing and never had a review answered. Above it, those go that have been silent for
   * `arrivalMs`.
   */
  readonly silent: number;
  /** How long a connection may stay without a request; in milliseconds. */
  readonly idleMs: number;
};

/**
 * `body`: the API server takes request bodies up to 3 MiB (kube-apiserver `MaxRequestBodyBytes`). A review holds an
 * object, an old object and a little more: 7 MiB, as in controller-runtime.
 *
 * `connections`: an API server opens one for each admission that waits (600 at most, by its own limit on requests under
 * way), and keeps 25.
 *
 * `idleMs`: longer than the 90 s that the API server's pool keeps an idle connection (Go net/http), so the server never
 * closes first. It holds for connections that have carried no request yet too, because Go keeps spare ones. `silent` is
 * more than API servers keep.
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
