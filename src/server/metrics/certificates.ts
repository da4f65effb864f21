import { Counter, Gauge, type Registry } from "prom-client";
import { certificateFailures } from "../../certificates/reasons.ts";

/** Metrics of the webhook's own certificate. */
export type CertificateMetrics = {
  /** `seconds`: since 1970. */
  certificateExpiry(seconds: number): void;
  /** `seconds`: since 1970. */
  caExpiry(seconds: number): void;
  /** Counts a write that keeps the certificates in order. */
  certificateStep(step: string, reason: string): void;
  /** Counts a state of the certificates that cannot be put in order. */
  certificateFailure(reason: string): void;
};

/** Registers these metrics. */
export const certificateMetrics = (registry: Registry): CertificateMetrics => {
  const registers = [registry];
  const expiry = new Gauge({
    name: "flowgen_gateway_certificate_expiry_timestamp_seconds",
    help: "When the serving certificate ends, where the webhook serves one",
    registers,
  });
  const caExpiry = new Gauge({
    name: "flowgen_gateway_certificate_ca_expiry_timestamp_seconds",
    help: "When the CA of the serving certificate ends, where the webhook makes its certificates itself",
    registers,
  });
  for (const gauge of [expiry, caExpiry]) gauge.remove();
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
  return {
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
