/**
 * A cluster in memory, for the demo, the tests and a first look without a cluster. It answers as a real API server does
 * (test/cluster-port/contract.ts runs on both). It has no schemas and no controllers. `fieldsV1` in managedFields shows
 * only whether its owner has fields. A namespace need not be created. Returned objects are frozen and shared, never
 * copied. uids, generated names and cluster IPs are counters, so that runs repeat.
 */
import {
  type Cluster,
  deadlineExceeded,
  type Kind,
  type KubeObject,
  orDeadline,
  type Ref,
  refOf,
} from "../cluster/cluster.ts";
import type { State } from "./metadata.ts";
import { apply, create, edit, refKey, type MemoryCall, removeObject, removeRead, update } from "./store.ts";

/**
 * Hooks run around each call and may wait (latency, an interleaving) or throw (`fault`). When `before` throws, the call
 * had no effect; when `after` throws, the call took effect and its answer is lost.
 */
export type MemoryOptions = {
  readonly before?: (call: MemoryCall) => undefined | Promise<void>;
  readonly after?: (call: MemoryCall) => undefined | Promise<void>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** False: no Service gets a cluster IP, because the IPs of the real cluster are not known. */
  readonly hasAddresses?: boolean;
};

/**
 * The cluster port, and three functions for tests: list all objects, write as another manager, delete. They call no
 * hooks.
 */
export type MemoryCluster = Cluster & {
  /** Every object, by kind, namespace and name. */
  all(): readonly KubeObject[];
  /** Replaces an object as another field manager, as `kubectl edit` does; status included, as a controller does. */
  edit(manager: string, ref: Ref, change: (object: KubeObject) => KubeObject): KubeObject;
  /** Deletes an object, or marks it as deleted where it has a finalizer; `false`: there was none. */
  remove(ref: Ref): boolean;
};

/** An empty cluster in memory. */
export const createMemoryCluster = (options: MemoryOptions = {}): MemoryCluster => {
  const state: State = {
    stored: new Map(),
    revision: 1,
    count: 0,
    now: options.now ?? Date.now,
    hasAddresses: options.hasAddresses ?? true,
  };
  const ask = async <T>(call: MemoryCall, signal: AbortSignal, effect: () => T): Promise<T> => {
    await unlessAborted(call, signal, options.before);
    const answer = effect();
    await unlessAborted(call, signal, options.after);
    return answer;
  };
  const call = (verb: "create" | "apply" | "update", object: KubeObject): MemoryCall => ({
    verb,
    ref: refOf(object),
    object,
  });
  return {
    get: (ref, signal) => ask({ verb: "get", ref }, signal, () => found(state, ref)),
    list: (kind, namespace, selector, signal) =>
      ask({ verb: "list", ref: { kind, namespace, name: "" } }, signal, () =>
        sorted(state, (object) => isListed(object, kind, namespace, selector)),
      ),
    livePods: async function* (selector, signal) {
      const pods = await ask({ verb: "list", ref: { kind: "Pod", namespace: "", name: "" } }, signal, () =>
        sorted(state, (object) => isLivePod(object, selector)),
      );
      for (const { metadata } of pods) yield metadata;
    },
    create: (object, signal) => {
      const asked = call("create", object);
      return ask(asked, signal, () => create(state, asked, object));
    },
    apply: (object, signal, manager) => {
      const asked = call("apply", object);
      return ask(asked, signal, () => apply(state, asked, object, manager));
    },
    update: (object, signal) => {
      const asked = call("update", object);
      return ask(asked, signal, () => update(state, asked, object));
    },
    delete: (object, signal) => {
      const asked: MemoryCall = { verb: "delete", ref: refOf(object), object };
      return ask(asked, signal, () => removeRead(state, asked, object));
    },
    all: () => sorted(state, () => true),
    edit: (manager, ref, change) => edit(state, manager, ref, change),
    remove: (ref) => removeObject(state, ref),
  };
};

const unlessAborted = async (call: MemoryCall, signal: AbortSignal, hook: MemoryOptions["before"]): Promise<void> => {
  if (signal.aborted) throw deadlineExceeded(call.verb, call.ref, signal);
  const work = hook?.(call);
  if (work === undefined) return;
  await orDeadline(work, call.verb, call.ref, signal);
};

/** A Scale is read of its Deployment. */
const found = ({ stored }: State, ref: Ref): KubeObject | undefined => {
  if (ref.kind !== "Scale") return stored.get(refKey(ref))?.object;
  const deployment = stored.get(refKey({ ...ref, kind: "Deployment" }))?.object;
  if (deployment === undefined) return undefined;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = deployment.metadata;
  const metadata = { name, namespace, uid, resourceVersion, creationTimestamp } as KubeObject["metadata"];
  return { apiVersion: "autoscaling/v1", kind: "Scale", metadata };
};

const sorted = ({ stored }: State, wanted: (object: KubeObject) => boolean): readonly KubeObject[] =>
  [...stored]
    .filter(([, { object }]) => wanted(object))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { object }]) => object);

const isListed = (
  { kind, metadata }: KubeObject,
  wanted: Kind,
  namespace: string,
  selector: Readonly<Record<string, string>>,
): boolean =>
  kind === wanted &&
  (namespace === "" || metadata.namespace === namespace) &&
  Object.entries(selector).every(([label, value]) => metadata.labels?.[label] === value);

const isLivePod = ({ kind, metadata: { labels = {} }, ...rest }: KubeObject, selector: string): boolean => {
  const { phase } = { ...(rest["status"] as { readonly phase?: string } | undefined) };
  const isTaken = (term: string): boolean => {
    const [key = "", value] = term.split("=");
    return value === undefined ? key in labels : labels[key] === value;
  };
  return kind === "Pod" && phase !== "Succeeded" && phase !== "Failed" && selector.split(",").every(isTaken);
};
