/** A request to the API server, and where its objects are. */
import { ClusterError, type KubeObject, type Ref, type Resource, resources, type Verb } from "./cluster.ts";

export type Question = {
  readonly verb: Verb;
  readonly ref: Ref;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: object;
  /** Default: JSON. */
  readonly accept?: string;
};

/** The path of an object, or of a kind's list where the name is `""`. */
export const apiPath = ({ kind, namespace, name }: Ref): string => {
  const { apiVersion, plural, subresource }: Resource = resources[kind];
  const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const within = namespace === "" ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  const part = subresource === undefined ? "" : `/${subresource}`;
  return `${base}${within}/${plural}${name === "" ? "" : `/${encodeURIComponent(name)}${part}`}`;
};

/** The port's rule for cluster-scoped objects: their namespace is `""`. The API server leaves the field out. */
export const inNamespace = (answer: unknown): KubeObject => {
  const object = answer as KubeObject;
  const { namespace = "" } = object.metadata as { readonly namespace?: string };
  return { ...object, metadata: { ...object.metadata, namespace } };
};

/** The object is not there; another 404 is a path that the API server does not serve. */
export const isNotFound = (error: unknown): boolean =>
  error instanceof ClusterError && error.code === 404 && error.reason === "NotFound";
