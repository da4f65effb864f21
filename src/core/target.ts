/** A private `host:port` that a pod asks for. Hosts are canonical (see host.ts), so two of them compare with `===`. */
export type Target = {
  /** DNS label; `<NAME>_HOST` and `<NAME>_PORT` are made from it. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly servicePort?: number;
  readonly tunnel?: string;
  /** Env to set to the gateway's DNS name / the service port; empty: found by value. */
  readonly hostEnv: readonly string[];
  readonly portEnv: readonly string[];
};

/** A target after the forward table has given it a forward. */
export type Assignment = {
  readonly target: Target;
  /** Name of the forward: what the NetworkPolicy's label and the Service's port are called. */
  readonly forward: string;
  /** The gateway's DNS name. */
  readonly host: string;
  /** The gateway's service port. */
  readonly port: number;
  /** Every `host:port` at which the table offers the target, now or since before: a pod that comes back keeps them. */
  readonly addresses?: readonly string[];
};

/** `host:port`, with brackets around an IPv6 host. */
export const address = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
