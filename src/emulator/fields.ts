import { isEqual, isObject } from "../core/equal.ts";

/**
 * The fields of an object as server-side apply sees them: lists that are merged by key, and values that are atomic.
 * Each has a path in the notation of `managedFields`, such as `f:spec/f:ports/k:{"port":80,"protocol":"TCP"}/f:name`.
 *
 * Source of the tables: `x-kubernetes-list-map-keys`, `x-kubernetes-list-type` and `x-kubernetes-map-type` in the
 * OpenAPI document of Kubernetes 1.35. A list that is not in them is atomic, and a map is granular, as the document
 * says.
 */
export type Fields = Readonly<Record<string, unknown>>;

const containerLists = { env: ["name"], ports: ["containerPort", "protocol"], volumeMounts: ["mountPath"] };
const containerKinds = ["containers", "initContainers", "ephemeralContainers"];
const keysOfLists: Readonly<Record<string, readonly string[]>> = {
  "metadata.ownerReferences": ["uid"],
  "status.conditions": ["type"],
  "spec.ports": ["port", "protocol"], // of a Service: a pod's spec has no ports
  "spec.volumes": ["name"],
  "spec.imagePullSecrets": ["name"],
  "spec.hostAliases": ["ip"],
  "spec.topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
  ".webhooks": ["name"],
  "webhooks.matchConditions": ["name"],
  ...Object.fromEntries(containerKinds.map((kind) => [`spec.${kind}`, ["name"]])),
  ...Object.fromEntries(
    containerKinds.flatMap((kind) =>
      Object.entries({ ...containerLists, volumeDevices: ["devicePath"] }).map(([list, keys]) => [
        `${kind}.${list}`,
        keys,
      ]),
    ),
  ),
};
const keyDefaults: Fields = { protocol: "TCP" };
const atomicMaps: ReadonlySet<string> = new Set([
  "selector",
  "podSelector",
  "nodeSelector",
  "labelSelector",
  "namespaceSelector",
  "objectSelector",
  "secretKeyRef",
  "configMapKeyRef",
  "fieldRef",
  "resourceFieldRef",
  "involvedObject",
]);

/** Whether a value is a map whose entries have separate owners. `field`: the name of the field that holds it. */
export const isGranular = (value: unknown, field: string): value is Fields => isObject(value) && !atomicMaps.has(field);

/** The keys that identify the items of a list; `undefined`: the list is atomic. */
export const listKeys = (value: unknown, parent: string, field: string): readonly string[] | undefined =>
  Array.isArray(value) ? keysOfLists[`${parent}.${field}`] : undefined;
/** The items of a list that has keys. */
export const itemsOf = (list: unknown): readonly Fields[] => list as readonly Fields[];

export const fieldPath = (path: string, field: string): string => (path === "" ? `f:${field}` : `${path}/f:${field}`);
export const itemPath = (path: string, item: Fields, keys: readonly string[]): string =>
  `${path}/k:{${keys.map((key) => `"${key}":${JSON.stringify(item[key] ?? keyDefaults[key])}`).join(",")}}`;

/** A place in an object: its path, and the last two field names, which are the keys of the tables. */
export type FieldPlace = { readonly path: string; readonly parent: string; readonly field: string };
export const ROOT: FieldPlace = { path: "", parent: "", field: "" };
/** The place of a map's entry. List items add no name to it: `containers.env`, not `containers.0.env`. */
export const entryOf = (place: FieldPlace, field: string): FieldPlace => ({
  path: fieldPath(place.path, field),
  parent: place.field,
  field,
});
export const itemOf = (place: FieldPlace, item: Fields, keys: readonly string[]): FieldPlace => ({
  ...place,
  path: itemPath(place.path, item, keys),
});

/** Adds the path of every field of `value` to `into`, and the paths of items with repeated keys to `repeated`. */
export const addFields = (value: unknown, place: FieldPlace, into: Set<string>, repeated: string[]): void => {
  const keys = listKeys(value, place.parent, place.field);
  if (keys !== undefined) {
    for (const item of itemsOf(value)) {
      const at = itemOf(place, item, keys);
      if (into.has(at.path)) repeated.push(at.path);
      into.add(at.path);
      for (const field of Object.keys(item)) addFields(item[field], entryOf(at, field), into, repeated);
    }
    return;
  }
  const fields = isGranular(value, place.field) ? Object.keys(value) : [];
  if (fields.length === 0 && place !== ROOT) into.add(place.path);
  for (const field of fields) addFields((value as Fields)[field], entryOf(place, field), into, repeated);
};

/** The value with the missing fields added; the value itself when none is missing. */
export const filled = (value: Fields, missing: Fields): Fields =>
  Object.keys(missing).every((field) => field in value) ? value : Object.freeze({ ...missing, ...value });

/** Maps that the API server leaves out when they are empty, as it does every empty list; `emptyDir: {}` stays. */
const omittedMaps: ReadonlySet<string> = new Set([
  "metadata",
  "labels",
  "annotations",
  "data",
  "selector",
  "matchLabels",
  "nodeSelector",
  "limits",
  "requests",
]);

/** The value as the API server stores it: without empty lists and maps. The value itself when it has none. */
export const withoutEmpty = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    const items = value.map(withoutEmpty);
    return items.every((item, index) => item === value[index]) ? value : Object.freeze(items);
  }
  if (!isObject(value)) return value;
  let copy: Record<string, unknown> | undefined;
  for (const [field, old] of Object.entries(value)) {
    const entry = withoutEmpty(old);
    const isOmitted = Array.isArray(entry) ? entry.length === 0 : omittedMaps.has(field) && isEqual(entry, {});
    if (entry === old && !isOmitted) continue;
    copy ??= { ...value };
    if (isOmitted) Reflect.deleteProperty(copy, field);
    else copy[field] = entry;
  }
  return copy === undefined ? value : Object.freeze(copy);
};

/**
 * A deeply frozen copy of a JSON value, without the entries that are `undefined` or `null`: the API server drops both.
 */
export const frozen = (value: unknown): unknown => {
  if (Array.isArray(value)) return Object.freeze(value.map(frozen));
  if (!isObject(value)) return value;
  const copy: Record<string, unknown> = {};
  for (const field of Object.keys(value)) {
    const entry = value[field];
    if (entry !== undefined && entry !== null) copy[field] = frozen(entry);
  }
  return Object.freeze(copy);
};
