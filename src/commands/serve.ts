import closeWithGrace from "close-with-grace";
import { pino } from "pino";
import { loadScripts } from "../cluster/scripts.ts";
import { run } from "../server/run.ts";
import { readTls } from "../server/tls.ts";
import { readFiles, watchFiles } from "../server/watch.ts";
import { type ClusterName, openCluster, parseConfig, UsageError, version } from "./options.ts";

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
  const { drainSeconds, reloadSeconds } = options;
  const log = pino({ level: options.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const tlsPaths = tlsFiles(options);
  const [configText = "", ...tlsTexts] = await readFiles([options.config, ...tlsPaths]).catch((error: unknown) => {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  });
  const config = parseConfig(configText, options.config);
  const tls = tlsPaths.length > 0 ? checkedTls(tlsTexts, tlsPaths) : undefined;
  const server = await run({
    ...options,
    cluster: await openCluster(options.cluster),
    config,
    scripts: loadScripts(),
    version: version(),
    log,
    ...(tls && { tls }),
  });
  log.info({ url: server.url, metrics: server.metricsUrl, mode: config.mode, version: version() }, "serving");

  const refused = (file: "config" | "tls") => (error: unknown) => {
    server.metrics.reloadFailure(file);
    log.error(
      { file, detail: error instanceof Error ? error.message : String(error) },
      "reload refused, the old version stays",
    );
  };
  const reload = (
    file: "config" | "tls",
    paths: readonly string[],
    initial: readonly string[],
    take: (texts: readonly string[]) => void,
  ) =>
    watchFiles(
      paths,
      initial,
      reloadSeconds * 1000,
      (texts) => {
        take(texts);
        log.info({ file }, "reloaded");
      },
      refused(file),
    );
  const watches = [
    reload("config", [options.config], [configText], ([text = ""]) => {
      server.setConfig(parseConfig(text, options.config));
    }),
    ...(tls
      ? [
          reload("tls", tlsPaths, tlsTexts, (texts) => {
            server.setTls(checkedTls(texts, tlsPaths));
          }),
        ]
      : []),
  ];
  closeWithGrace({ delay: drainSeconds * 1000 + LONGEST_ADMISSION_MS, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, "crashed");
    log.info({ signal }, "draining");
    watches.forEach((watch) => {
      watch.stop();
    });
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
    throw new UsageError("--tls-cert and --tls-key are needed (or --plain-http, behind a platform that ends TLS)");
  }
  return [tlsCert, tlsKey];
};

const checkedTls = ([cert = "", key = ""]: readonly string[], paths: readonly string[]) => {
  try {
    return readTls(cert, key);
  } catch (error) {
    throw new UsageError(`${paths.join(", ")}: ${error instanceof Error ? error.message : String(error)}`);
  }
};
