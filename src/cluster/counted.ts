import { type Cluster, ClusterError, type Kind, type Metadata, type Verb } from "./cluster.ts";

/** `code`: 200 for an answer, else the code of the error. */
export type OnCall = (verb: Verb, kind: Kind, code: number) => void;

/** The same cluster; `onCall` is called at the end of each call. */
export const counted = (cluster: Cluster, onCall: OnCall): Cluster => {
  const observed = async <T>(verb: Verb, kind: Kind, call: Promise<T>): Promise<T> => {
    try {
      const result = await call;
      onCall(verb, kind, 200);
      return result;
    } catch (error) {
      onCall(verb, kind, error instanceof ClusterError ? error.code : 0);
      throw error;
    }
  };
  async function* livePods(selector: string, signal: AbortSignal): AsyncGenerator<Metadata> {
    try {
      yield* cluster.livePods(selector, signal);
      onCall("list", "Pod", 200);
    } catch (error) {
      onCall("list", "Pod", error instanceof ClusterError ? error.code : 0);
      throw error;
    }
  }
  return {
    livePods,
    get: (ref, signal) => observed("get", ref.kind, cluster.get(ref, signal)),
    list: (kind, namespace, selector, signal) =>
      observed("list", kind, cluster.list(kind, namespace, selector, signal)),
    create: (object, signal) => observed("create", object.kind, cluster.create(object, signal)),
    delete: (object, signal, grace) => observed("delete", object.kind, cluster.delete(object, signal, grace)),
    update: (object, signal) => observed("update", object.kind, cluster.update(object, signal)),
    apply: (object, signal, manager) => observed("apply", object.kind, cluster.apply(object, signal, manager)),
  };
};
