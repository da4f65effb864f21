import closeWithGrace from "close-with-grace";
import type { Logger } from "pino";
import type { Cluster } from "../../cluster/cluster.ts";
import { clusterStore } from "../../certificates/store.ts";
import { createKeeper } from "../../certificates/keeper.ts";
import { loadScripts } from "../../provisioning/scripts.ts";
import { messageOf } from "../../core/message.ts";
import { version } from "../../files.ts";
import { createLog } from "../../server/log.ts";
import { type Rotation, startRotation } from "../../certificates/rotation.ts";
import { startServer, type RunningServer, type ServerOptions } from "../../server/run.ts";
import { counting } from "../../server/counting.ts";
import { lazyIssuer } from "../certs/issuer.ts";
import { type ClusterName, connectCluster, parseConfig, UsageError } from "../options/options.ts";
import { parseTls, readCallers, readInputs, readPathToken } from "./inputs.ts";
import { expires, type Stoppable, watchInputs } from "./watch.ts";
import { type ServeTlsOptions, type TlsSource, tlsSource } from "./tls-options.ts";

export type ServeOptions = ServeTlsOptions & {
  readonly config: string;
  /** The config's text, which stands for the file. */
  readonly configYaml?: string;
  /** Holds the last part of the webhook's path. */
  readonly pathTokenFile?: string;
  /** The CA of the API server's client certificate, and the common names that are taken. */
  readonly clientCa?: string;
  readonly clientName?: readonly string[];
  readonly cluster: ClusterName;
  readonly host: string;
  readonly port: number;
  readonly metricsPort: number;
  readonly drainSeconds: number;
  /** Seconds between two looks at the config and the certificate. */
  readonly reloadSeconds: number;
  /** Seconds between two looks at the gateways without an admission; 0: none. */
  readonly repairSeconds: number;
  /** Refused pods have an Event about their workload. */
  readonly workloadEvents?: boolean;
  readonly logLevel: string;
};

/** How long a request that is under way may still take after SIGTERM: as long as the longest admission. */
const LONGEST_ADMISSION_MS = 30_000;

/**
 * `serve`: the webhook, until SIGTERM or SIGINT. Files are read again when they change; a bad version is refused and
 * the old one stays.
 */
export const serve = async (options: ServeOptions): Promise<void> => {
  const source = await tlsSource(options);
  if (source.kind === "secret" && options.cluster === "memory")
    throw new UsageError(
      "--tls-secret is kept in a cluster: give another --cluster than memory, or --tls-cert with --tls-key",
    );
  const { configYaml } = options;
  const [configText = "", ...tlsTexts] = await readInputs(options);
  const config = parseConfig(configYaml ?? configText, configYaml === undefined ? options.config : "--config-yaml");
  const pathToken = await readPathToken(options);
  const callers = await readCallers(options);
  const files = source.kind === "files" ? parseTls(tlsTexts, source.paths) : undefined;
  const cluster = await connectCluster(options.cluster);
  const log = createLog(options.logLevel);
  let rotation: Rotation | undefined;
  const tls = source.kind === "secret" ? "later" : files;
  const server = await start({
    ...options,
    ...{ cluster, config, scripts: loadScripts(), version, log },
    ...(tls && { tls }),
    ...(pathToken !== undefined && { pathToken }),
    ...(callers && { callers }),
    waitsFor: () => rotation?.waitsFor(),
  });
  if (source.kind === "secret") rotation = rotate(source, { cluster, server, log, options });
  const { url, metricsUrl } = server;
  const startMs = Math.round(performance.now());
  server.metrics.serving(startMs / 1000);
  log.info({ url, metrics: metricsUrl, mode: config.mode, version, startMs, ...expires(files) }, "serving");

  const watches = watchInputs({ server, log, options, source, callers }, configText, tlsTexts);
  stopOnSignal(server, rotation ? [...watches, rotation] : watches, log, options.drainSeconds);
};

type Rotating = {
  readonly cluster: Cluster;
  readonly server: RunningServer;
  readonly log: Logger;
  readonly options: ServeOptions;
};

/** The webhook makes and renews its certificate itself, in a Secret that all replicas share. */
const rotate = (
  source: Extract<TlsSource, { kind: "secret" }>,
  { cluster, server, log, options }: Rotating,
): Rotation => {
  const { metrics, setTls, setPath } = server;
  const store = clusterStore(counting(cluster, metrics), source, options.webhookConfiguration);
  return startRotation({
    name: store.name,
    makeKeeper: (onStep) => createKeeper({ store, issuer: lazyIssuer, policy: source.policy, onStep }),
    take: setTls,
    takePath: setPath,
    everyMs: options.reloadSeconds * 1000,
    log,
    metrics,
  });
};

const stopOnSignal = (
  server: RunningServer,
  watches: readonly Stoppable[],
  log: Logger,
  drainSeconds: number,
): void => {
  closeWithGrace({ delay: drainSeconds * 1000 + LONGEST_ADMISSION_MS, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, "crashed");
    log.info({ signal }, "draining");
    watches.forEach((watch) => watch.stop());
    await server.stop();
    log.info("stopped");
  });
};

/** Errors of listening that another address or port mends. */
const LISTEN_ERRORS = ["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "ERR_SOCKET_BAD_PORT"];

const start = async (options: ServerOptions): Promise<RunningServer> => {
  const { host, port, metricsPort } = options;
  if (port === metricsPort && port !== 0)
    throw new UsageError(`--port and --metrics-port are both ${port}: choose another for one of them`);
  try {
    return await startServer(options);
  } catch (error) {
    const { code, port: taken } = error as { code?: string; port?: number };
    if (!LISTEN_ERRORS.includes(code ?? "")) throw error;
    const flag = taken === metricsPort && taken !== port ? "--metrics-port" : "--port";
    throw new UsageError(
      `cannot listen on --host ${host}, ${flag} ${flag === "--port" ? port : metricsPort}: ${messageOf(error)}; ` +
        `choose another, or end what uses it`,
    );
  }
};
