import type { Server as TlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyBaseLogger } from "fastify";
import { admit, type Context } from "../admit.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Config } from "../core/config/config.ts";
import type { Scripts } from "../core/gateway/manifests.ts";
import { createAfterwards } from "./afterwards.ts";
import type { CallerRule } from "./callers.ts";
import { counting } from "./counting.ts";
import { createApp } from "./app.ts";
import { watchConnections } from "./connections.ts";
import { type Limits, LIMITS, METRICS_LIMITS } from "./limits.ts";
import { listenOn } from "./listen.ts";
import { createOwnPath } from "./path-token.ts";
import { type Repairs, startRepairs } from "./repairs.ts";
import { createRolls } from "./rolls.ts";
import { createStanding } from "./standing.ts";
import { serveMetrics } from "./metrics/serve.ts";
import { createMetrics, type Metrics } from "./metrics/metrics.ts";
import { observedProvisioning } from "./provisioning.ts";
import { workloadEvents } from "./workload-events.ts";
import { type Tls, tlsOptions } from "../certificates/tls.ts";

export type ServerOptions = {
  readonly cluster: Cluster;
  readonly config: Config;
  readonly scripts: Scripts;
  readonly version: string;
  readonly log: FastifyBaseLogger;
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly metricsPort: number;
  /**
   * `later`: by `setTls`, and no handshake succeeds before. Absent: plain HTTP, for a platform that ends TLS itself.
   */
  readonly tls?: Tls | "later";
  /** Why the webhook cannot be called yet; `undefined`: it can. */
  readonly waitsFor?: () => string | undefined;
  /** The last part of the webhook's path. */
  readonly pathToken?: string;
  /** With TLS: the callers whose reviews are accepted; default: every caller. */
  readonly callers?: CallerRule;
  /** Default: LIMITS. */
  readonly limits?: Limits;
  /** Between two looks at the gateways without an admission; absent: none. */
  readonly repairSeconds?: number;
  /** Whether refused pods have an Event about their workload. */
  readonly workloadEvents?: boolean;
  /** Seconds between "not ready" and closing, for the cluster to take the endpoint out of rotation. */
  readonly drainSeconds: number;
};

export type RunningServer = {
  readonly url: string;
  readonly metricsUrl: string;
  readonly metrics: Metrics;
  /** Used from the next admission on. */
  readonly setConfig: (config: Config) => void;
  /** Used from the next connection on. */
  readonly setTls: (tls: Tls) => void;
  /** Path tokens that are taken besides, and whether reviews without one are refused; with `tls: "later"` only. */
  readonly setPath: (tokens: readonly string[], isNeeded: boolean) => void;
  /** PEM; used from the next connection on. */
  readonly setClientCa: (ca: string) => void;
  /** Not ready, wait, answer what is under way, close. */
  readonly stop: () => Promise<void>;
};

/**
 * Starts the webhook and its metrics, on ports of their own. Rejects, with nothing left open, when it cannot listen.
 */
export const startServer = async (options: ServerOptions): Promise<RunningServer> => {
  const {
    log,
    version,
    host,
    port,
    metricsPort,
    drainSeconds,
    repairSeconds = 0,
    tls,
    waitsFor,
    pathToken,
    callers,
    limits = LIMITS,
  } = options;
  const metrics = createMetrics(version);
  metrics.config(options.config.mode, Date.now());
  const standing = createStanding(() => performance.now());
  let repairs: Repairs | undefined = undefined;
  const rolls = createRolls(
    () => performance.now(),
    () => repairs?.soon(),
  );
  const { provision, repair } = observedProvisioning(options, metrics, standing, rolls);
  const { isBehind } = standing;
  let context: Context = { config: options.config, provision, version, isBehind };
  let isDraining = false;
  const { add: afterwards, settle } = createAfterwards();
  const ownPath = createOwnPath();
  const app = createApp({
    admit: async (creation) => {
      const admission = await admit(creation, context);
      if (admission.reason === "superseded") standing.giveWay();
      return admission;
    },
    log,
    metrics,
    limits,
    afterwards,
    ...(options.workloadEvents === true && { tellWorkload: workloadEvents(counting(options.cluster, metrics)) }),
    isReady: () => !isDraining,
    waitsFor: () => waitsFor?.() ?? standing.waitsFor(),
    ...(pathToken !== undefined && { pathToken }),
    ...(tls === "later" && { ownPath }),
    ...(callers && { callers }),
    ...(tls && { tls }),
  });
  let serving = tls === "later" ? undefined : tls;
  let clientCa = callers?.ca;
  const takeTls = (): void => {
    if (serving) (app.server as unknown as TlsServer).setSecureContext(tlsOptions(serving, clientCa));
  };
  if (tls && tls !== "later") metrics.certificateExpiry(tls.expiry);
  const metricsServer = await listenOn(host, (each) =>
    serveMetrics({ registry: metrics.registry, settle }, each, metricsPort),
  );
  process.prependListener("exit", settle); // before the log writes its last lines
  const watched = [
    watchConnections(app.server, limits),
    watchConnections(metricsServer, { ...limits, ...METRICS_LIMITS }),
  ];
  const close = async (): Promise<void> => {
    const closed = [app.close(), new Promise((resolve) => metricsServer.close(resolve))];
    watched.forEach(({ end }) => end());
    await Promise.all(closed);
    settle();
    process.off("exit", settle);
  };
  try {
    await listenOn(host, (each) => app.listen({ host: each, port }));
  } catch (error) {
    await close();
    throw error;
  }
  repairs =
    repairSeconds > 0
      ? startRepairs({
          repair,
          config: () => context.config,
          everyMs: repairSeconds * 1000,
          isRolling: rolls.isUnderWay,
          log,
          metrics,
        })
      : undefined;
  return {
    url: urlOf(app.server, tls ? "https" : "http"),
    metricsUrl: `${urlOf(metricsServer, "http")}/metrics`,
    metrics,
    setConfig: (config) => {
      standing.reset();
      context = { config, provision, version, isBehind };
      metrics.config(config.mode, Date.now());
      repairs?.now();
    },
    setTls: (next) => {
      serving = next;
      takeTls();
      metrics.certificateExpiry(next.expiry);
    },
    setPath: ownPath.set,
    setClientCa: (ca) => {
      clientCa = ca;
      takeTls();
    },
    stop: async () => {
      isDraining = true;
      repairs?.stop();
      await sleep(drainSeconds * 1000);
      await close();
    },
  };
};

const urlOf = (server: Server, scheme: string): string => {
  const { address, port, family } = server.address() as AddressInfo;
  return `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
};
