/** The files of `serve`, which are read again when they change. */
import type { Logger } from "pino";
import type { Tls } from "../../certificates/tls.ts";
import { messageOf } from "../../core/message.ts";
import type { CallerRule } from "../../server/callers.ts";
import type { ReloadedFile } from "../../server/metrics/process.ts";
import type { RunningServer } from "../../server/run.ts";
import { type Contents, watchFiles } from "../../server/watch.ts";
import { parseConfig } from "../options/options.ts";
import { parseClientCa, parseTls } from "./inputs.ts";
import type { TlsSource } from "./tls-options.ts";

type Watching = {
  readonly server: RunningServer;
  readonly log: Logger;
  readonly options: WatchOptions;
  readonly source: TlsSource;
  readonly callers: CallerRule | undefined;
};

type WatchOptions = {
  readonly config: string;
  readonly configYaml?: string;
  readonly clientCa?: string;
  readonly reloadSeconds: number;
};

/** Anything that is ended when the process ends. */
export type Stoppable = { readonly stop: () => void };

/**
 * Watches the files of the options. A new version is put into use; a version that cannot be read is refused, logged and
 * counted. `configText` and `tlsTexts`: the contents in use.
 */
export const watchInputs = (
  { server, log, options, source, callers }: Watching,
  configText: string,
  tlsTexts: Contents,
): readonly Stoppable[] => {
  const { config, configYaml, clientCa, reloadSeconds } = options;
  const { watch } = reloader(server, log, reloadSeconds * 1000);
  const takeConfig = (texts: Contents): object => {
    server.setConfig(parseConfig(texts.join(""), config));
    return {};
  };
  const takeTls =
    (paths: readonly string[]) =>
    (texts: Contents): object => {
      const next = parseTls(texts, paths);
      server.setTls(next);
      return expires(next);
    };
  const takeClientCa =
    (path: string) =>
    (texts: Contents): object => {
      server.setClientCa(parseClientCa(texts, path));
      return {};
    };
  return [
    ...(configYaml === undefined ? [watch("config", [config], [configText], takeConfig)] : []),
    ...(source.kind === "files" ? [watch("tls", source.paths, tlsTexts, takeTls(source.paths))] : []),
    ...(callers && clientCa !== undefined
      ? [watch("client-ca", [clientCa], [callers.ca], takeClientCa(clientCa))]
      : []),
  ];
};

/** A field for the log: the end of a certificate. */
export const expires = (tls: Tls | undefined): object =>
  tls ? { certificateExpires: new Date(tls.expiry * 1000).toISOString() } : {};

/** `take` puts a new version into use and returns fields for the log. */
const reloader = (server: RunningServer, log: Logger, everyMs: number) => ({
  watch: (file: ReloadedFile, paths: readonly string[], initial: Contents, take: (texts: Contents) => object) =>
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
