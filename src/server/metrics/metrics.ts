import { collectDefaultMetrics, Registry } from "prom-client";
import { type AdmissionMetrics, admissionMetrics } from "./admissions.ts";
import { type CertificateMetrics, certificateMetrics } from "./certificates.ts";
import { type GatewayMetrics, gatewayMetrics } from "./gateways.ts";
import { type ProcessMetrics, processMetrics } from "./process.ts";

/** The webhook's metrics. Each server has a registry of its own: nothing is global. */
export type Metrics = { readonly registry: Registry } & AdmissionMetrics &
  CertificateMetrics &
  GatewayMetrics &
  ProcessMetrics;

/** `version`: the program's. */
export const createMetrics = (version: string): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    ...processMetrics(registry, version),
    ...admissionMetrics(registry),
    ...gatewayMetrics(registry),
    ...certificateMetrics(registry),
  };
};
