/** The ports of a gateway's pod. */

/** The lowest port that a process without privileges may listen on. */
export const FIRST_LISTEN_PORT = 1024;
export const LAST_PORT = 65535;
/** The gateway's pod listens here while it is ready (forward.sh): no forward's port. */
export const READY_PORT = LAST_PORT;
/** The gateway's pod answers here with its metrics (metrics.sh): no forward's port either. */
export const METRICS_PORT = LAST_PORT - 1;
export const LAST_LISTEN_PORT = METRICS_PORT - 1;
