/** Where pod templates stand in the objects of a manifest. */
import { type Pod, readPod } from "../core/pod.ts";
import { type PlainMap, isPlainMap } from "./value.ts";

export type Path = readonly (string | number)[];

/** Kubernetes' own kinds that make pods, or are one. */
const TEMPLATE: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  PodTemplate: ["template"],
  Deployment: ["spec", "template"],
  StatefulSet: ["spec", "template"],
  DaemonSet: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  ReplicationController: ["spec", "template"],
  Job: ["spec", "template"],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
};
/** Their API groups. A template in another of their kinds (a ControllerRevision's) is a record, which makes no pod. */
const GROUPS: ReadonlySet<string> = new Set(["", "apps", "batch", "extensions"]);

/** Deeper than any known resource has its pod template. */
const MAX_DEPTH = 8;

/**
 * The paths of an object's pod templates. Kubernetes' own kinds have known paths. In other kinds (an Argo Rollout, a
 * Knative Service) a template is a key that ends in "template" and whose value has containers.
 */
export const templatePaths = (apiVersion: string, kind: string, object: PlainMap): readonly Path[] => {
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  if (!GROUPS.has(group)) return [...findTemplates(object, [])];
  const path = Object.hasOwn(TEMPLATE, kind) ? TEMPLATE[kind] : undefined;
  return path === undefined ? [] : [path];
};

export const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((at, step) => (isPlainMap(at) || Array.isArray(at) ? (at as PlainMap)[step] : undefined), value);

type KubernetesObject = { readonly apiVersion: string; readonly kind: string };

/**
 * The pod that an object's first template describes, or the object is, with its whole spec; `undefined`: there is none
 * that can be read.
 */
export const podIn = (object: KubernetesObject): { readonly pod: Pod; readonly spec: unknown } | undefined => {
  const [path] = templatePaths(object.apiVersion, object.kind, object);
  const template = path && (valueAt(object, path) as PlainMap | undefined);
  const read = path && readPod({ metadata: {}, ...template });
  return read?.kind === "pod" ? { pod: read.pod, spec: template?.["spec"] } : undefined;
};

function* findTemplates(value: unknown, path: Path): Generator<Path> {
  if (path.length > MAX_DEPTH || typeof value !== "object" || value === null) return;
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  for (const [key, item] of entries) {
    const at = [...path, key];
    if (typeof key === "string" && /template$/i.test(key) && isPodTemplate(item)) yield at;
    else yield* findTemplates(item, at);
  }
}

const isPodTemplate = (value: unknown): boolean =>
  isPlainMap(value) && isPlainMap(value["spec"]) && Array.isArray(value["spec"]["containers"]);
