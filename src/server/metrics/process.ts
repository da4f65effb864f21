import { Counter, Gauge, type Registry } from "prom-client";
import type { Config } from "../../core/config/config.ts";

/** Files that the process reads again when they change. */
const RELOADED = ["config", "tls", "client-ca"] as const;
export type ReloadedFile = (typeof RELOADED)[number];

/** Metrics of the process: its version, its config, its start and its calls to the API server. */
export type ProcessMetrics = {
  /** Sets the config in force. `now`: milliseconds since 1970. */
  config(mode: Config["mode"], now: number): void;
  /** Sets the duration of the start. `seconds`: from the start of the process until it served. */
  serving(seconds: number): void;
  /** Counts a new version of a file that was refused. */
  reloadFailure(file: ReloadedFile): void;
  /** Counts a call to the API server. `code`: the HTTP status, 0 for no answer. */
  apiCall(verb: string, kind: string, code: number): void;
};

/** Registers these metrics. `version`: the program's. */
export const processMetrics = (registry: Registry, version: string): ProcessMetrics => {
  const registers = [registry];
  const build = new Gauge({
    name: "flowgen_gateway_build_info",
    help: "1, with the program's version",
    labelNames: ["version"],
    registers,
  });
  build.set({ version }, 1);
  const configInfo = new Gauge({
    name: "flowgen_gateway_config_info",
    help: "1, with the mode of the config that is in force",
    labelNames: ["mode"],
    registers,
  });
  const configSince = new Gauge({
    name: "flowgen_gateway_config_timestamp_seconds",
    help: "Since when the config is in force in this replica",
    registers,
  });
  const start = new Gauge({
    name: "flowgen_gateway_start_duration_seconds",
    help: "Time from the start of the process until it served",
    registers,
  });
  // Absent, not 0, where it is not known: 0 is a date, and long past.
  for (const gauge of [configSince, start]) gauge.remove();
  const apiCalls = new Counter({
    name: "flowgen_gateway_api_calls_total",
    help: "Calls to the Kubernetes API server by verb, kind and HTTP status (0: no answer)",
    labelNames: ["verb", "kind", "code"],
    registers,
  });
  const reloadFailures = new Counter({
    name: "flowgen_gateway_reload_failures_total",
    help: "New versions of a file that were refused; the old one stays in use",
    labelNames: ["file"],
    registers,
  });
  // From the start, so that the first failure is an increase.
  RELOADED.forEach((file) => reloadFailures.inc({ file }, 0));
  return {
    config: (mode, now) => {
      configInfo.reset();
      configInfo.set({ mode }, 1);
      configSince.set(now / 1000);
    },
    serving: (seconds) => {
      start.set(seconds);
    },
    reloadFailure: (file) => {
      reloadFailures.inc({ file });
    },
    apiCall: (verb, kind, code) => {
      apiCalls.inc({ verb, kind, code });
    },
  };
};
