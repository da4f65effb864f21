import * as z from "zod";
import { listOf, textMap } from "./schema.ts";

const envVarSchema = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.unknown().optional(),
});

/** Read to be named in a warning, so that what is not as it should be is left to the API server. */
const textsSchema = z.array(z.unknown()).nullish().catch(undefined);

/** The headers of a probe's request: a server that serves several names is asked by one of them. */
const headersSchema = z
  .array(z.object({ value: z.unknown() }).catch({ value: undefined }))
  .nullish()
  .catch(undefined);

/**
 * A probe, or a hook of a container's life, as far as it can name a host (core/v1 ProbeHandler and LifecycleHandler).
 */
const handlerSchema = z
  .object({
    exec: z.object({ command: textsSchema }).nullish(),
    httpGet: z.object({ host: z.unknown(), path: z.unknown(), httpHeaders: headersSchema }).partial().nullish(),
    tcpSocket: z.object({ host: z.unknown() }).partial().nullish(),
    grpc: z.object({ service: z.unknown() }).partial().nullish(),
  })
  .nullish()
  .catch(undefined);

type Handler = NonNullable<z.infer<typeof handlerSchema>>;
/** The fields of a probe or a hook that are read. */
const HANDLER_FIELDS = {
  exec: { command: true },
  httpGet: { host: true, path: true, httpHeaders: { value: true } },
  tcpSocket: { host: true },
  grpc: { service: true },
} as const satisfies Record<keyof Handler, unknown>;

const rawContainerSchema = z.object({
  name: z.string(),
  env: listOf(envVarSchema).nullish(),
  envFrom: z.array(z.unknown()).nullish(),
  command: textsSchema,
  args: textsSchema,
  livenessProbe: handlerSchema,
  readinessProbe: handlerSchema,
  startupProbe: handlerSchema,
  volumeMounts: z.array(z.object({ mountPath: z.string() })).nullish(),
  lifecycle: z.object({ postStart: handlerSchema, preStop: handlerSchema }).nullish().catch(undefined),
});
type RawContainer = z.infer<typeof rawContainerSchema>;

/** A text of a container that is no env, and where it stands (`args[3]`). */
export type ContainerText = { readonly at: string; readonly text: string };

/** Whether Kubernetes expands `$(VAR)` in the text: it does in commands and arguments alone (core/v1 Container). */
export const isExpandedText = ({ at }: ContainerText): boolean => /^(command|args)\[/.test(at);

/** No host that is looked for there is without a dot or a colon; a reference may bring one. */
const mayName = (text: unknown): text is string => typeof text === "string" && /[.:]|\$\(/.test(text);

const textsAt = (at: string, texts: readonly unknown[] | null | undefined): ContainerText[] =>
  (texts ?? []).flatMap((text, index) => (mayName(text) ? [{ at: `${at}[${index}]`, text }] : []));

const textsOfHandler = (at: string, handler: z.infer<typeof handlerSchema>): ContainerText[] => {
  if (handler == null) return [];
  const { exec, httpGet, tcpSocket, grpc } = handler;
  const headers = (httpGet?.httpHeaders ?? []).map(({ value }) => value);
  const texts = [...(exec?.command ?? []), httpGet?.host, httpGet?.path, ...headers, tcpSocket?.host, grpc?.service];
  return texts.filter(mayName).map((text) => ({ at, text }));
};

const textsOf = (container: RawContainer): readonly ContainerText[] => [
  ...textsAt("command", container.command),
  ...textsAt("args", container.args),
  ...textsOfHandler("livenessProbe", container.livenessProbe),
  ...textsOfHandler("readinessProbe", container.readinessProbe),
  ...textsOfHandler("startupProbe", container.startupProbe),
  ...textsOfHandler("postStart", container.lifecycle?.postStart),
  ...textsOfHandler("preStop", container.lifecycle?.preStop),
];

/** The fields of a container that are read (`true`: whole, else those keys of each item). */
const CONTAINER_FIELDS = {
  name: true,
  env: true,
  envFrom: true,
  command: true,
  args: true,
  livenessProbe: HANDLER_FIELDS,
  readinessProbe: HANDLER_FIELDS,
  startupProbe: HANDLER_FIELDS,
  volumeMounts: { mountPath: true },
  lifecycle: { postStart: HANDLER_FIELDS, preStop: HANDLER_FIELDS },
} as const satisfies Record<keyof RawContainer, unknown>;

const containerSchema = rawContainerSchema.transform((container) => {
  const { name, env, envFrom, volumeMounts } = container;
  const texts = textsOf(container);
  return {
    name,
    ...(env != null && { env }),
    ...(envFrom != null && { envFrom }),
    ...(volumeMounts != null && { volumeMounts }),
    ...(texts.length > 0 && { texts }),
  };
});

/**
 * The fields of a pod (core/v1 Pod) that an admission depends on. The pods of one ReplicaSet, which differ in names,
 * are equal here. Unknown fields pass: the API server validates the pod, and a newer Kubernetes may have fields that
 * this schema does not know.
 */
const podSchema = z.object({
  metadata: z.object({
    labels: textMap.nullish(),
    annotations: textMap.nullish(),
  }),
  spec: z.object({
    containers: listOf(containerSchema),
    initContainers: listOf(containerSchema).nullish(),
    dnsPolicy: z.unknown().optional(),
    hostNetwork: z.unknown().optional(),
    dnsConfig: z
      .object({ options: z.array(z.object({ name: z.string(), value: z.string().optional() })).nullish() })
      .nullish()
      .catch(undefined),
    hostAliases: z
      .array(z.object({ ip: z.string(), hostnames: z.array(z.string()).nullish() }))
      .nullish()
      .catch(undefined),
  }),
});

type RawPod = z.input<typeof podSchema>;

/** The fields of a pod that `readPod` reads: what it makes of a pod without all others is the same. */
export const POD_FIELDS = {
  metadata: { labels: true, annotations: true } as const satisfies Record<keyof RawPod["metadata"], true>,
  spec: {
    containers: CONTAINER_FIELDS,
    initContainers: CONTAINER_FIELDS,
    dnsPolicy: true,
    dnsConfig: true,
    hostNetwork: true,
    hostAliases: true,
  } as const satisfies Record<keyof RawPod["spec"], unknown>,
};

export type EnvVar = z.infer<typeof envVarSchema>;
export type Container = z.infer<typeof containerSchema>;
export type Pod = z.infer<typeof podSchema>;

/** The fields of a pod that the webhook reads, as a copy of the JSON value; or the reason why the value is no pod. */
export const readPod = (
  value: unknown,
): { readonly kind: "pod"; readonly pod: Pod } | { readonly kind: "invalid"; readonly error: z.ZodError } => {
  const { data, error } = podSchema.safeParse(value);
  return data === undefined ? { kind: "invalid", error } : { kind: "pod", pod: data };
};
