import { perObject } from "./memo.ts";

/** How a pod is made to use an assignment: its env are rewritten, or `hostAliases` map the names that it dials. */
export type Redirect = "env" | "hostAlias";

/** A private `host:port` that a pod asks for. Hosts are canonical (see host.ts), so two of them compare with `===`. */
export type Target = {
  /** DNS label; `<NAME>_HOST` and `<NAME>_PORT` are made from it. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tunnel?: string;
  /** Env to set to the Service's DNS name / the target's port; empty: found by value. */
  readonly hostEnv: readonly string[];
  readonly portEnv: readonly string[];
  /** DNS names by which the pod dials the host. */
  readonly aliases: readonly string[];
  /** Absent: the config's default. */
  readonly redirect?: Redirect | "auto";
};

/** A target with the tunnel that carries it, and how the pod is to use it. */
export type Want = {
  readonly target: Target;
  /** Of the pod. */
  readonly namespace: string;
  readonly tunnel: string;
  readonly redirect: Redirect;
  /** Names that `hostAliases` map to the host's Service. */
  readonly names: readonly string[];
  /**
   * The gateway's own Service cannot serve the target. Either a name must resolve to the host, or the pod holds the
   * host in a form whose port is not read.
   */
  readonly needsService: boolean;
};

/** A target after the forward table has given it a forward. The port is always the target's own. */
export type Assignment = Pick<Want, "target" | "tunnel" | "redirect" | "names"> & {
  /** Name of the forward: of the NetworkPolicy's label and of the Service's port. */
  readonly forward: string;
  /** DNS name of a Service: the gateway's own, or the host's. */
  readonly host: string;
  readonly port: number;
  /** Every `host:port` at which the table offers the target, the present one included. */
  readonly addresses: readonly string[];
  /** Cluster IPs of the host's Service, one per IP family; empty: the host has no Service of its own. */
  readonly clusterIPs: readonly string[];
  /**
   * The host's Service does not exist yet: the IPs are of a documentation range (RFC 5737, RFC 3849) and stand for
   * those to come.
   */
  readonly isAssumed?: true;
};

/** A target and the host at which a pod reaches it. */
export type Reached = { readonly target: Target; readonly host: string };

/** `host:port`, with brackets around an IPv6 host. */
export const address = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

/** The targets of wants; one list for all pods that share their wants. */
export const targetsOf = perObject((wants: readonly Want[]): readonly Target[] => wants.map(({ target }) => target));

/** Targets whose host is looked for in env; one list for all pods that share their wants. */
export const envTargets = perObject((wants: readonly Want[]): readonly Target[] =>
  wants.filter(({ redirect }) => redirect === "env").map(({ target }) => target),
);
