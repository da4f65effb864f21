import { z } from "zod";

/**
 * What the webhook reads of a pod (core/v1 Pod). Loose: unknown fields pass, because the API server has validated
 * the pod already or is about to, and a newer Kubernetes may know fields that we do not.
 */
export const envVarSchema = z.looseObject({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.unknown().optional(),
});

export const containerSchema = z.looseObject({
  name: z.string(),
  env: z.array(envVarSchema).nullish(),
  envFrom: z.array(z.unknown()).nullish(),
});

export const podSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string().optional(),
    generateName: z.string().optional(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).nullish(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  spec: z.looseObject({
    containers: z.array(containerSchema),
    initContainers: z.array(containerSchema).nullish(),
  }),
});

export type EnvVar = z.infer<typeof envVarSchema>;
export type Container = z.infer<typeof containerSchema>;
export type Pod = z.infer<typeof podSchema>;
