import { z } from "zod";

const envVarSchema = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.unknown().optional(),
});

const containerSchema = z.object({
  name: z.string(),
  env: z.array(envVarSchema).nullish(),
  envFrom: z.array(z.unknown()).nullish(),
});

/**
 * What an admission depends on of a pod (core/v1 Pod), and nothing else: the pods of one ReplicaSet, which differ in names, are
 * the same here. Unknown fields pass, because the API server has validated the pod already or is about to, and a newer
 * Kubernetes may know fields that we do not.
 */
const podSchema = z.object({
  metadata: z.object({
    labels: z.record(z.string(), z.string()).nullish(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  spec: z.object({
    containers: z.array(containerSchema),
    initContainers: z.array(containerSchema).nullish(),
    dnsPolicy: z.unknown().optional(),
    hostNetwork: z.unknown().optional(),
  }),
});

export type EnvVar = z.infer<typeof envVarSchema>;
export type Container = z.infer<typeof containerSchema>;
export type Pod = z.infer<typeof podSchema>;

/** What the webhook reads of the pod that a JSON value is, a copy without the rest; or what keeps it from being one. */
export const readPod = (
  value: unknown,
): { readonly kind: "pod"; readonly pod: Pod } | { readonly kind: "invalid"; readonly error: z.ZodError } => {
  const { data, error } = podSchema.safeParse(value);
  return data === undefined ? { kind: "invalid", error } : { kind: "pod", pod: data };
};
