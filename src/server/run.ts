import { createServer, type Server } from "node:http";
import type { Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { FastifyBaseLogger } from "fastify";
import { admit } from "../admit.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { counted } from "../cluster/counted.ts";
import { createProvisioner } from "../cluster/provision.ts";
import type { Config } from "../core/config.ts";
import type { Scripts } from "../core/manifests.ts";
import { createApp } from "./app.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { Tls } from "./tls.ts";

export type RunOptions = {
  readonly cluster: Cluster;
  readonly config: Config;
  readonly scripts: Scripts;
  readonly version: string;
  readonly log: FastifyBaseLogger;
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly metricsPort: number;
  /** Absent: plain HTTP, for a platform that ends TLS itself. */
  readonly tls?: Tls;
  /** Seconds between "not ready" and closing, for the cluster to take the endpoint out of rotation. */
  readonly drainSeconds: number;
};

export type Running = {
  readonly url: string;
  readonly metricsUrl: string;
  readonly metrics: Metrics;
  /** Used from the next admission on. */
  readonly setConfig: (config: Config) => void;
  /** Used from the next connection on. */
  readonly setTls: (tls: Tls) => void;
  /** Not ready, wait, answer what is under way, close. */
  readonly stop: () => Promise<void>;
};

/** Starts the webhook and its metrics, on ports of their own. */
export const run = async (options: RunOptions): Promise<Running> => {
  const { log, version, scripts, host, tls } = options;
  const metrics = createMetrics();
  const cluster = counted(options.cluster, (verb, kind, code) => metrics.apiCall(verb, kind, code));
  const provision = createProvisioner(cluster, {
    scripts,
    events: {
      conflict: ({ namespace, name }) => {
        metrics.conflict(`${namespace}/${name}`);
      },
      table: ({ namespace, name }, table) => {
        metrics.forwards(`${namespace}/${name}`, table.forwards.length);
      },
      omitted: ({ namespace, name }, forwards) => {
        log.warn({ gateway: `${namespace}/${name}`, forwards }, "static forwards left out");
      },
      restart: ({ namespace, name }, why) => {
        log.warn({ gateway: `${namespace}/${name}`, why }, "gateway restarts");
      },
    },
  });
  let config = options.config;
  let isDraining = false;
  const app = createApp({
    admit: (creation) => admit(creation, { config, provision, version }),
    log,
    metrics,
    isReady: () => !isDraining,
    ...(tls && { tls }),
  });
  if (tls) metrics.certificateExpiry(tls.expiry);
  await app.listen({ host, port: options.port });
  const metricsServer = await serveMetrics(metrics, host, options.metricsPort);
  return {
    url: urlOf(app.server, tls ? "https" : "http"),
    metricsUrl: `${urlOf(metricsServer, "http")}/metrics`,
    metrics,
    setConfig: (next) => {
      config = next;
    },
    setTls: ({ cert, key, expiry }) => {
      (app.server as unknown as TlsServer).setSecureContext({ cert, key, minVersion: "TLSv1.2" });
      metrics.certificateExpiry(expiry);
    },
    stop: async () => {
      isDraining = true;
      await new Promise((resolve) => setTimeout(resolve, options.drainSeconds * 1000));
      await app.close();
      await new Promise((resolve) => metricsServer.close(resolve));
    },
  };
};

const urlOf = (server: { address(): AddressInfo | string | null }, scheme: string): string => {
  const { address, port, family } = server.address() as AddressInfo;
  return `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
};

const serveMetrics = ({ registry }: Metrics, host: string, port: number): Promise<Server> => {
  const server = createServer((request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      resolve(server);
    });
  });
};
