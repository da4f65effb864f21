import { type Cluster, ClusterError, type Kind } from "./cluster.ts";

/** `code`: 200 for an answer, else the code of the error. */
export type OnCall = (verb: keyof Cluster, kind: Kind, code: number) => void;

/** The same cluster; `onCall` is called at the end of each call. */
export const counted = (cluster: Cluster, onCall: OnCall): Cluster => {
  const observed = async <T>(verb: keyof Cluster, kind: Kind, call: Promise<T>): Promise<T> => {
    try {
      const result = await call;
      onCall(verb, kind, 200);
      return result;
    } catch (error) {
      onCall(verb, kind, error instanceof ClusterError ? error.code : 0);
      throw error;
    }
  };
  return {
    get: (ref, signal) => observed("get", ref.kind, cluster.get(ref, signal)),
    list: (kind, namespace, selector, signal) =>
      observed("list", kind, cluster.list(kind, namespace, selector, signal)),
    create: (object, signal) => observed("create", object.kind, cluster.create(object, signal)),
    apply: (object, signal) => observed("apply", object.kind, cluster.apply(object, signal)),
  };
};
