import closeWithGrace from "close-with-grace";
import { type Logger, pino } from "pino";
import type { Cluster } from "../cluster/cluster.ts";
import { loadScripts } from "../cluster/scripts.ts";
import { version } from "../files.ts";
import { run, type Running, type RunOptions } from "../server/run.ts";
import { readTls, type Tls } from "../server/tls.ts";
import { type Contents, readFiles, type UnreadableFile, type Watch, watchFiles } from "../server/watch.ts";
import { type ClusterName, openCluster, parseConfig, UsageError } from "./options.ts";

export type ServeOptions = {
  readonly config: string;
  readonly cluster: ClusterName;
  readonly host: string;
  readonly port: number;
  readonly metricsPort: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly plainHttp: boolean;
  readonly drainSeconds: number;
  /** Seconds between two looks at the config and the certificate. */
  readonly reloadSeconds: number;
  readonly logLevel: string;
};

/** How long a request that is under way may still take after SIGTERM: as long as the longest admission. */
const LONGEST_ADMISSION_MS = 30_000;

/** `serve`: the webhook, until SIGTERM or SIGINT. Files are read again when they change; a bad version is refused and the old one stays. */
export const serve = async (options: ServeOptions): Promise<void> => {
  const log = pino({ level: options.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const tlsPaths = tlsFiles(options);
  const [configText = "", ...tlsTexts] = await readInputs(options);
  const config = parseConfig(configText, options.config);
  const tls = tlsPaths.length > 0 ? parseTls(tlsTexts, tlsPaths) : undefined;
  const cluster = await open(options.cluster);
  const basics = { cluster, config, scripts: loadScripts(), version, log };
  const server = await start({ ...options, ...basics, ...(tls && { tls }) });
  const { url, metricsUrl } = server;
  log.info({ url, metrics: metricsUrl, mode: config.mode, version, ...expires(tls) }, "serving");

  const { watch } = reloader(server, log, options.reloadSeconds * 1000);
  const watches = [
    watch("config", [options.config], [configText], ([text = ""]) => {
      server.setConfig(parseConfig(text, options.config));
      return {};
    }),
  ];
  if (tls) {
    const take = (texts: Contents): object => {
      const next = parseTls(texts, tlsPaths);
      server.setTls(next);
      return expires(next);
    };
    watches.push(watch("tls", tlsPaths, tlsTexts, take));
  }
  stopOnSignal(server, watches, log, options.drainSeconds);
};

const expires = (tls: Tls | undefined): object =>
  tls ? { certificateExpires: new Date(tls.expiry * 1000).toISOString() } : {};

/** Watches files; a new version is taken, or refused, logged and counted. `take` returns what is worth a word in the log. */
const reloader = (server: Running, log: Logger, everyMs: number) => ({
  watch: (file: "config" | "tls", paths: readonly string[], initial: Contents, take: (texts: Contents) => object) =>
    watchFiles(
      paths,
      initial,
      everyMs,
      (texts) => {
        log.info({ file, ...take(texts) }, "reloaded");
      },
      (error) => {
        server.metrics.reloadFailure(file);
        log.error({ file, detail: messageOf(error) }, "reload refused, the old version stays");
      },
    ),
});

const stopOnSignal = (server: Running, watches: readonly Watch[], log: Logger, drainSeconds: number): void => {
  closeWithGrace({ delay: drainSeconds * 1000 + LONGEST_ADMISSION_MS, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, "crashed");
    log.info({ signal }, "draining");
    watches.forEach((watch) => watch.stop());
    await server.stop();
    log.info("stopped");
  });
};

const tlsFiles = ({ tlsCert, tlsKey, plainHttp }: ServeOptions): readonly string[] => {
  if (plainHttp) {
    if (tlsCert !== undefined || tlsKey !== undefined)
      throw new UsageError("--plain-http goes without --tls-cert and --tls-key");
    return [];
  }
  if (tlsCert === undefined || tlsKey === undefined) {
    const missing = tlsCert === undefined ? "--tls-cert" : "--tls-key";
    throw new UsageError(
      `${missing} is missing: --tls-cert and --tls-key are both needed (or --plain-http, behind a platform that ends TLS)`,
    );
  }
  return [tlsCert, tlsKey];
};

/** The config, the certificate and the key, the last two as far as they are given. */
const readInputs = async ({ config, tlsCert, tlsKey }: ServeOptions): Promise<Contents> => {
  const inputs = { "--config": config, "--tls-cert": tlsCert, "--tls-key": tlsKey };
  const given = Object.entries(inputs).filter((input): input is [string, string] => input[1] !== undefined);
  try {
    return await readFiles(given.map(([, path]) => path));
  } catch (error) {
    const { path } = error as UnreadableFile;
    const [flag] = given.find((input) => input[1] === path) ?? [];
    throw new UsageError(`${flag ?? ""}: ${messageOf(error)}; name a file that exists and that this user may read`);
  }
};

const parseTls = ([cert = "", key = ""]: Contents, paths: readonly string[]): Tls => {
  try {
    return readTls(cert, key);
  } catch (error) {
    throw new UsageError(`${paths.join(", ")}: ${messageOf(error)}; give a PEM certificate and its own key`);
  }
};

const CLUSTER_FIX = {
  "in-cluster": "run it in a pod with a ServiceAccount, or choose --cluster kubeconfig",
  kubeconfig:
    "let KUBECONFIG name a kubeconfig whose current context is a cluster (https), or choose another --cluster",
  memory: "choose another --cluster",
} as const satisfies Record<ClusterName, string>;

const open = async (name: ClusterName): Promise<Cluster> => {
  try {
    return await openCluster(name);
  } catch (error) {
    throw new UsageError(`--cluster ${name}: ${messageOf(error)}; ${CLUSTER_FIX[name]}`);
  }
};

/** Errors of listening that another address or port mends. */
const LISTEN_ERRORS = ["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "ERR_SOCKET_BAD_PORT"];

const start = async (options: RunOptions): Promise<Running> => {
  const { host, port, metricsPort } = options;
  if (port === metricsPort && port !== 0)
    throw new UsageError(`--port and --metrics-port are both ${port}: choose another for one of them`);
  try {
    return await run(options);
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

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
