/** The cluster port: kubernetes.ts asks a real API server, memory.ts answers itself. Both keep the rules of test/cluster-port/contract.ts. */

/** `subresource`: what of the object of that name is meant. */
export type Resource = { readonly apiVersion: string; readonly plural: string; readonly subresource?: string };

export const resources = {
  ConfigMap: { apiVersion: "v1", plural: "configmaps" },
  Service: { apiVersion: "v1", plural: "services" },
  Deployment: { apiVersion: "apps/v1", plural: "deployments" },
  PodDisruptionBudget: { apiVersion: "policy/v1", plural: "poddisruptionbudgets" },
  NetworkPolicy: { apiVersion: "networking.k8s.io/v1", plural: "networkpolicies" },
  Pod: { apiVersion: "v1", plural: "pods" },
  Event: { apiVersion: "v1", plural: "events" },
  Secret: { apiVersion: "v1", plural: "secrets" },
  MutatingWebhookConfiguration: {
    apiVersion: "admissionregistration.k8s.io/v1",
    plural: "mutatingwebhookconfigurations",
  },
  // Read only, by the commands that look at a cluster.
  Namespace: { apiVersion: "v1", plural: "namespaces" },
  Node: { apiVersion: "v1", plural: "nodes" },
  EndpointSlice: { apiVersion: "discovery.k8s.io/v1", plural: "endpointslices" },
  // Of a Deployment: its uid and replicas, and nothing of its template.
  Scale: { apiVersion: "apps/v1", plural: "deployments", subresource: "scale" },
  ReplicaSet: { apiVersion: "apps/v1", plural: "replicasets" },
  StatefulSet: { apiVersion: "apps/v1", plural: "statefulsets" },
  DaemonSet: { apiVersion: "apps/v1", plural: "daemonsets" },
  Job: { apiVersion: "batch/v1", plural: "jobs" },
  CronJob: { apiVersion: "batch/v1", plural: "cronjobs" },
  ValidatingAdmissionPolicyBinding: {
    apiVersion: "admissionregistration.k8s.io/v1",
    plural: "validatingadmissionpolicybindings",
  },
  SubjectAccessReview: { apiVersion: "authorization.k8s.io/v1", plural: "subjectaccessreviews" },
  SelfSubjectAccessReview: { apiVersion: "authorization.k8s.io/v1", plural: "selfsubjectaccessreviews" },
} as const satisfies Readonly<Record<string, Resource>>;

/** The kinds that are read or written. The namespace of an object that lives in none is `""`. */
export type Kind = keyof typeof resources;

export type Metadata = {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace: string;
  readonly uid?: string;
  /** Opaque: compared for equality only. */
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** RFC 3339, UTC, whole seconds. */
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly managedFields?: readonly Readonly<Record<string, unknown>>[];
  readonly [field: string]: unknown;
};

/** An object as the API server sends it. Treat it as immutable: it may be shared with other readers. */
export type KubeObject = {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: Metadata;
  readonly [field: string]: unknown;
};

export type Ref = { readonly kind: Kind; readonly namespace: string; readonly name: string };

/** The reference of an object; the name is `""` while the API server has yet to generate one. */
export const refOf = ({ kind, metadata }: KubeObject): Ref => ({
  kind,
  namespace: metadata.namespace,
  name: metadata.name ?? "",
});

/** Every call ends by `signal` at the latest. Every failure is a ClusterError. */
export type Cluster = {
  /** `undefined`: there is no such object. */
  get(ref: Ref, signal: AbortSignal): Promise<KubeObject | undefined>;
  /** The objects that carry every label of `selector`, by namespace and name. `namespace` `""` is all namespaces. */
  list(
    kind: Kind,
    namespace: string,
    selector: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<readonly KubeObject[]>;
  /**
   * The metadata of the pods of all namespaces that have not ended (phase Succeeded or Failed) and match a label
   * selector (`key`, `key=value`, with commas). A pod that exists from the beginning of the listing to its end is among
   * them; one may come twice.
   */
  livePods(selector: string, signal: AbortSignal): AsyncGenerator<Metadata>;
  /** Makes a new object, by its name or by `generateName`; 409 `AlreadyExists`. */
  create(object: KubeObject, signal: AbortSignal): Promise<KubeObject>;
  /**
   * Server-side apply, with force, as MANAGER. It makes or changes the object so that it holds these fields. It drops
   * fields that MANAGER applied before and leaves out now, and keeps fields of other managers.
   *
   * 409 `Conflict` when `metadata.resourceVersion` is given and is not the object's. Where there is no object, the
   * `resourceVersion` is ignored, and the object is made. So NEVER makes only, and the version that was read changes
   * only that version. 409 also when `metadata.uid` is given and the object is gone, or another object has its name. Do
   * not apply an object of `create`: its fields then have two owners and are never dropped.
   * `manager`: as another field manager.
   */
  apply(object: KubeObject, signal: AbortSignal, manager?: string): Promise<KubeObject>;
  /**
   * Writes an object that was read and changed, except its status: 409 `Conflict` when it has changed since. MANAGER
   * becomes the owner of the spec and data that others wrote, as if it had applied them (managed-fields.ts). So its
   * next apply drops those that it does not hold.
   */
  update(object: KubeObject, signal: AbortSignal): Promise<KubeObject>;
  /**
   * Deletes the object that was read, by its uid and `resourceVersion`: 409 `Conflict` when it has changed since, or
   * another has its name. A missing object is no error. `graceSeconds`: of a pod; default: its own.
   */
  delete(object: KubeObject, signal: AbortSignal, graceSeconds?: number): Promise<void>;
};

/** A `resourceVersion` that no object has: etcd's first revision is 1, and the first write makes it 2. */
export const NEVER = "1";

export type Verb = Exclude<keyof Cluster, "livePods">;

export type CallFailure = {
  readonly verb: Verb;
  readonly ref: Ref;
  /** HTTP status; 0 when there was no answer. */
  readonly code: number;
  /** The reason of the API server's Status; `DeadlineExceeded` or `Unreachable` without an answer. */
  readonly reason: string;
  /** The message of the API server's Status; a denial by RBAC names verb and resource. */
  readonly says: string;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
};

/** A call that failed. After code 0 or 5xx a write may have taken effect all the same. */
export class ClusterError extends Error {
  readonly verb: Verb;
  readonly ref: Ref;
  readonly code: number;
  readonly reason: string;
  /** The API server's Retry-After, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor({ verb, ref, code, reason, says, retryAfterMs, cause }: CallFailure) {
    const status = code === 0 ? reason : `${code} ${reason}`;
    const name = [ref.namespace, ref.name].filter((part) => part !== "").join("/");
    const what = name === "" ? resources[ref.kind].plural : `${resources[ref.kind].plural} ${name}`;
    super(`cannot ${verb} ${what}: ${says} (${status})`, { cause });
    this.name = "ClusterError";
    this.verb = verb;
    this.ref = ref;
    this.code = code;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** 409: another client changed the object after it was read, or created it first. */
export const isConflict = (error: unknown): boolean => error instanceof ClusterError && error.code === 409;
/** 422: the API server read the object and does not take it. */
export const isInvalid = (error: unknown): boolean => error instanceof ClusterError && error.code === 422;
/** The deadline came, or the caller gave up. */
export const isDeadline = (error: unknown): boolean =>
  error instanceof ClusterError && error.reason === "DeadlineExceeded";
/** The same call may succeed later: no answer, 429 or 5xx. */
export const isTransient = (error: unknown): boolean =>
  error instanceof ClusterError && !isDeadline(error) && (error.code === 0 || error.code === 429 || error.code >= 500);

/** The error of a call that `signal` ended; `trouble`: an earlier failure of the same call, added to the message. */
export const deadlineExceeded = (verb: Verb, ref: Ref, signal: AbortSignal, trouble?: unknown): ClusterError => {
  const before = trouble instanceof Error ? `; before that: ${trouble.message}` : "";
  return new ClusterError({
    verb,
    ref,
    code: 0,
    reason: "DeadlineExceeded",
    says: `no answer before the deadline${before}`,
    cause: trouble ?? signal.reason,
  });
};

/** The outcome of `work`, or the error of a call that `signal` ended first. */
export const orDeadline = <T>(
  work: Promise<T>,
  verb: Verb,
  ref: Ref,
  signal: AbortSignal,
  trouble: () => unknown = () => undefined,
): Promise<T> =>
  new Promise((resolve, reject) => {
    const end = (): void => {
      reject(deadlineExceeded(verb, ref, signal, trouble()));
    };
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    void work.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", end);
    });
  });
