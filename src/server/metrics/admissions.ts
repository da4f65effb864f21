import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Admission, Outcome } from "../../core/admission.ts";
import { type ReasonCode, reasons } from "../../core/reasons.ts";
import { type Caller, CALLERS } from "../callers.ts";
import { boundedNames } from "./bounded-names.ts";

/** Metrics of admissions and of the callers that ask for them. */
export type AdmissionMetrics = {
  /** Counts an admission. `namespace`: the pod's. `seconds`: from the request's arrival to its answer. */
  admission(admission: Pick<Admission, "outcome" | "reason">, namespace: string, seconds: number): void;
  /** Counts a request by its caller. */
  caller(kind: Caller["kind"]): void;
};

/** Namespaces that have a series of their own for each reason; all others are counted together. */
const MAX_NAMESPACES = 100;

/** Registers these metrics. */
export const admissionMetrics = (registry: Registry): AdmissionMetrics => {
  const registers = [registry];
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
  const first = new Gauge({
    name: "flowgen_gateway_first_admission_duration_seconds",
    help: "Duration of the process's first admission, which reads the gateway and makes the connections to the API server",
    registers,
  });
  first.remove();
  let hasAdmitted = false;
  const callers = new Counter({
    name: "flowgen_gateway_callers_total",
    help: "Requests to the webhook's path by the client certificate of their connection",
    labelNames: ["caller"],
    registers,
  });
  CALLERS.forEach((caller) => callers.inc({ caller }, 0));
  return {
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
  };
};

/**
 * Every outcome with every reason that it can have. `increase()` sees the growth of a series, not its beginning: a
 * series that begins at 1 hides the first event.
 */
const outcomes = (): readonly { readonly outcome: Outcome; readonly reason: ReasonCode }[] =>
  (Object.keys(reasons) as ReasonCode[]).flatMap((reason) => {
    const ends: readonly Outcome[] =
      reasons[reason].outcome === "reject" ? ["reject", "audit"] : [reasons[reason].outcome];
    return ends.map((outcome) => ({ outcome, reason }));
  });
