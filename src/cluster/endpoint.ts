import type { RequestOptions } from "node:https";

/** An API server and the credentials that the program has there. */
export type ApiEndpoint = {
  /** The API server's URL, perhaps with a path, without a slash at its end. */
  readonly server: string;
  /**
   * Headers and TLS options of the next request. They are read anew for each request: tokens, CAs and client
   * certificates are replaced while the program runs.
   */
  readonly options: () => RequestOptions | Promise<RequestOptions>;
  /** The options hold the agent of a proxy, which every request must take. */
  readonly isProxied: boolean;
};
