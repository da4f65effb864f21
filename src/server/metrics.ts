import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { certificateFailures } from "../certificates/reasons.ts";
import type { Admission, Outcome } from "../core/admission.ts";
import type { Config } from "../core/config/config.ts";
import { type ReasonCode, reasons } from "../core/reasons.ts";
import { boundedNames } from "./bounded-names.ts";
import { type Caller, CALLERS } from "./callers.ts";

/**
 * Gateways that have metrics of their own. Where each namespace has a gateway, namespaces come and go: those that were not heard of for the
 * longest time are dropped.
 */
const MOST_GATEWAYS = 1000;

/** Files that are read again when they change. */
const RELOADED = ["config", "tls", "client-ca"] as const;
export type ReloadedFile = (typeof RELOADED)[number];

/** The webhook's metrics. Each server has a registry of its own: nothing is global. */
export type Metrics = {
  readonly registry: Registry;
  /** `namespace`: the pod's. `seconds`: from the request's arrival to its answer. */
  admission(admission: Pick<Admission, "outcome" | "reason">, namespace: string, seconds: number): void;
  /** A review came from such a caller. */
  caller(kind: Caller["kind"]): void;
  apiCall(verb: string, kind: string, code: number): void;
  /** `max`: how many the config lets the gateway have. */
  forwards(gateway: string, count: number, max: number): void;
  conflict(gateway: string): void;
  /** Whether another config than this replica's made the gateway. */
  behind(gateway: string, isBehind: boolean): void;
  /** A config is in force from now on. `now`: milliseconds since 1970. */
  config(mode: Config["mode"], now: number): void;
  /** A gateway's object was made or changed. */
  objectWrite(kind: string): void;
  /** A look at the gateways ended: `kept`, or the reason code of one that could not be kept. */
  repair(result: string): void;
  reloadFailure(file: ReloadedFile): void;
  /** `expiry`: seconds since 1970. */
  /** The process serves from now on. `seconds`: since its start. */
  serving(seconds: number): void;
  certificateExpiry(expiry: number): void;
  caExpiry(expiry: number): void;
  certificateStep(step: string, reason: string): void;
  certificateFailure(reason: string): void;
};

/** Reason codes of a gateway that is not kept. */
const repairRefusals = [
  "object-unmanaged",
  "selector-other",
  "identity-held",
  "table-invalid",
  "format-newer",
] satisfies ReasonCode[];

/** More namespaces than that are counted together: each costs a series for each reason. */
const MAX_NAMESPACES = 100;

/** `version`: the program's. */
export const createMetrics = (version: string): Metrics => {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
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
  // Absent, not 0, where it is not known: 0 is a date, and long past.
  configSince.remove();
  const admissions = new Counter({
    name: "flowgen_gateway_admissions_total",
    help: "Admissions by outcome and reason code",
    labelNames: ["outcome", "reason"],
    registers,
  });
  for (const labels of outcomes()) admissions.inc(labels, 0);
  const rejections = new Counter({
    name: "flowgen_gateway_rejections_total",
    help: `Rejected pods by namespace and reason code; namespaces beyond the first ${MAX_NAMESPACES} are "other"`,
    labelNames: ["namespace", "reason"],
    registers,
  });
  const namespaceOf = boundedNames(MAX_NAMESPACES);
  const latency = new Histogram({
    name: "flowgen_gateway_admission_duration_seconds",
    help: "Time from a review's arrival to its answer",
    labelNames: ["outcome"],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const start = new Gauge({
    name: "flowgen_gateway_start_duration_seconds",
    help: "Time from the start of the process until it served",
    registers,
  });
  const first = new Gauge({
    name: "flowgen_gateway_first_admission_duration_seconds",
    help: "Duration of the process's first admission, which reads the gateway and makes the connections to the API server",
    registers,
  });
  for (const gauge of [start, first]) gauge.remove();
  let hasAdmitted = false;
  const callers = new Counter({
    name: "flowgen_gateway_callers_total",
    help: "Requests to the webhook's path by the client certificate of their connection",
    labelNames: ["caller"],
    registers,
  });
  CALLERS.forEach((caller) => callers.inc({ caller }, 0));
  const apiCalls = new Counter({
    name: "flowgen_gateway_api_calls_total",
    help: "Calls to the Kubernetes API server by verb, kind and HTTP status (0: no answer)",
    labelNames: ["verb", "kind", "code"],
    registers,
  });
  const forwards = new Gauge({
    name: "flowgen_gateway_forwards",
    help: "Forwards in a gateway's table",
    labelNames: ["gateway"],
    registers,
  });
  const forwardsMax = new Gauge({
    name: "flowgen_gateway_forwards_max",
    help: "How many forwards the config lets a gateway have (maxForwards)",
    labelNames: ["gateway"],
    registers,
  });
  const behind = new Gauge({
    name: "flowgen_gateway_config_behind",
    help: "1 where another config than this replica's made the gateway, else 0",
    labelNames: ["gateway"],
    registers,
  });
  const conflicts = new Counter({
    name: "flowgen_gateway_table_conflicts_total",
    help: "Writes that lost against another replica's and were made again",
    labelNames: ["gateway"],
    registers,
  });
  const objectWrites = new Counter({
    name: "flowgen_gateway_object_writes_total",
    help: "Objects of gateways that this replica made or changed, by kind; the forward tables are not counted",
    labelNames: ["kind"],
    registers,
  });
  const repairs = new Counter({
    name: "flowgen_gateway_repairs_total",
    help: "Looks at the gateways without an admission: kept, or the reason code for each gateway that could not be kept",
    labelNames: ["result"],
    registers,
  });
  for (const result of ["kept", "api-error", ...repairRefusals]) repairs.inc({ result }, 0);
  const reloadFailures = new Counter({
    name: "flowgen_gateway_reload_failures_total",
    help: "New versions of a file that were refused; the old one stays in use",
    labelNames: ["file"],
    registers,
  });
  // From the start, so that the first failure is an increase.
  RELOADED.forEach((file) => reloadFailures.inc({ file }, 0));
  const expiry = new Gauge({
    name: "flowgen_gateway_certificate_expiry_timestamp_seconds",
    help: "When the serving certificate ends, where the webhook serves one",
    registers,
  });
  expiry.remove();
  const caExpiry = new Gauge({
    name: "flowgen_gateway_certificate_ca_expiry_timestamp_seconds",
    help: "When the CA of the serving certificate ends, where the webhook makes its certificates itself",
    registers,
  });
  caExpiry.remove();
  const steps = new Counter({
    name: "flowgen_gateway_certificate_changes_total",
    help: "What this replica wrote to keep the certificates in order, by step and reason code",
    labelNames: ["step", "reason"],
    registers,
  });
  const failures = new Counter({
    name: "flowgen_gateway_certificate_failures_total",
    help: "Looks at the certificates that found what cannot be put in order, by reason code",
    labelNames: ["reason"],
    registers,
  });
  for (const reason of Object.keys(certificateFailures)) failures.inc({ reason }, 0);
  /** By the last time that a gateway was heard of, the longest ago first. */
  const gateways = new Set<string>();
  const heardOf = (gateway: string): void => {
    gateways.delete(gateway);
    gateways.add(gateway);
    const [oldest] = gateways;
    if (gateways.size <= MOST_GATEWAYS || oldest === undefined) return;
    gateways.delete(oldest);
    forwards.remove({ gateway: oldest });
    forwardsMax.remove({ gateway: oldest });
    conflicts.remove({ gateway: oldest });
    behind.remove({ gateway: oldest });
  };
  return {
    registry,
    admission: ({ outcome, reason }, namespace, seconds) => {
      admissions.inc({ outcome, reason });
      latency.observe({ outcome }, seconds);
      if (!hasAdmitted) first.set(seconds);
      hasAdmitted = true;
      if (outcome === "reject") rejections.inc({ namespace: namespaceOf(namespace), reason });
    },
    caller: (caller) => {
      callers.inc({ caller });
    },
    apiCall: (verb, kind, code) => {
      apiCalls.inc({ verb, kind, code });
    },
    forwards: (gateway, count, max) => {
      heardOf(gateway);
      forwards.set({ gateway }, count);
      forwardsMax.set({ gateway }, max);
    },
    conflict: (gateway) => {
      heardOf(gateway);
      conflicts.inc({ gateway });
    },
    behind: (gateway, isBehind) => {
      heardOf(gateway);
      behind.set({ gateway }, isBehind ? 1 : 0);
    },
    config: (mode, now) => {
      configInfo.reset();
      configInfo.set({ mode }, 1);
      configSince.set(now / 1000);
    },
    objectWrite: (kind) => {
      objectWrites.inc({ kind });
    },
    repair: (result) => {
      repairs.inc({ result });
    },
    reloadFailure: (file) => {
      reloadFailures.inc({ file });
    },
    serving: (seconds) => {
      start.set(seconds);
    },
    certificateExpiry: (seconds) => {
      expiry.set(seconds);
    },
    caExpiry: (seconds) => {
      caExpiry.set(seconds);
    },
    certificateStep: (step, reason) => {
      steps.inc({ step, reason });
    },
    certificateFailure: (reason) => {
      failures.inc({ reason });
    },
  };
};

/**
 * Every outcome with every reason that it can have. `increase()` sees how much a series grew, not that it came into being: one that
 * begins at 1 hides the first event.
 */
const outcomes = (): readonly { readonly outcome: Outcome; readonly reason: ReasonCode }[] =>
  (Object.keys(reasons) as ReasonCode[]).flatMap((reason) => {
    const ends: readonly Outcome[] =
      reasons[reason].outcome === "reject" ? ["reject", "audit"] : [reasons[reason].outcome];
    return ends.map((outcome) => ({ outcome, reason }));
  });
