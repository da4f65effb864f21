/** The objects of a cluster in memory, and the effect of each write. */
import { isEqual } from "../core/equal.ts";
import { MANAGER } from "../core/names.ts";
import { applied, type Owned, updated, withContentOwnedBy } from "./apply.ts";
import { ClusterError, type KubeObject, type Ref, resources, type Verb } from "../cluster/cluster.ts";
import { type Fields, frozen, withoutEmpty } from "./fields.ts";
import { isContent } from "../cluster/managed-fields.ts";
import { addressFor, addressProblems } from "./addresses.ts";
import { generatedName, identity, managedFields, type State, type Stored, timeOf } from "./metadata.ts";
import { changedImmutable, isTooLarge, problems, withDefaults } from "./rules.ts";

/** One call, as a hook receives it. The name is `""` for a list, and for an object with `generateName`. */
export type MemoryCall = { readonly verb: Verb; readonly ref: Ref; readonly object?: KubeObject };

/** The error of a call that the API server refuses. */
export const fault = (call: MemoryCall, code: number, reason: string, says: string): ClusterError =>
  new ClusterError({ verb: call.verb, ref: call.ref, code, reason, says });

const APPLIER = `${MANAGER} Apply`;
const CREATOR = `${MANAGER} Update`;
export const refKey = ({ kind, namespace, name }: Ref): string => `${kind} ${namespace} ${name}`;

export const create = (state: State, call: MemoryCall, object: KubeObject): KubeObject => {
  const { name = generatedName(state, object.metadata), generateName, resourceVersion } = object.metadata;
  if (resourceVersion !== undefined && resourceVersion !== "") {
    throw fault(call, 500, "Unknown", "resourceVersion should not be set on objects to be created");
  }
  const ref = { ...call.ref, name };
  if (state.stored.has(refKey(ref))) {
    throw fault(call, 409, "AlreadyExists", `${resources[ref.kind].plural} "${name}" already exists`);
  }
  const content = withDefaults(
    ref.kind,
    withoutEmpty(frozen(contentOf(object))) as Fields,
    addressFor(state, undefined),
  );
  const owned = updated(undefined, content, CREATOR);
  return store(state, { ...call, ref }, undefined, owned, undefined, generateName);
};

export const apply = (state: State, call: MemoryCall, object: KubeObject, manager = MANAGER): KubeObject => {
  const live = state.stored.get(refKey(call.ref));
  const { resourceVersion, uid, managedFields = [] } = object.metadata;
  if (managedFields.length > 0) throw fault(call, 400, "BadRequest", "metadata.managedFields must be nil");
  if (uid !== undefined && live === undefined) {
    throw conflict(call, `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`);
  }
  if (uid !== undefined && uid !== live?.object.metadata.uid)
    throw conflict(call, `${uid} is the uid of another object`);
  if (live !== undefined && isStale(resourceVersion, live.object)) {
    throw conflict(call, "the object has been modified; please apply your changes to the latest version and try again");
  }
  const config = contentOf(object);
  const isOurs = manager === MANAGER;
  if (isOurs && live?.lastApplied !== undefined && isEqual(live.lastApplied, config)) return live.object;
  const copy = frozen(config) as Fields;
  const owned = applied(live, copy, isOurs ? APPLIER : `${manager} Apply`);
  if ("repeated" in owned) {
    throw unprocessable(call, [`duplicate entries: ${owned.repeated.join(", ")}`]);
  }
  return store(state, call, live, owned, isOurs ? copy : live?.lastApplied);
};

export const edit = (
  state: State,
  manager: string,
  ref: Ref,
  change: (object: KubeObject) => KubeObject,
): KubeObject => {
  const call: MemoryCall = { verb: "apply", ref };
  const live = state.stored.get(refKey(ref));
  if (live === undefined) throw fault(call, 404, "NotFound", `${resources[ref.kind].plural} "${ref.name}" not found`);
  const next = change(live.object);
  const content = withoutEmpty(
    frozen({ ...contentOf(next), ...("status" in next && { status: next["status"] }) }),
  ) as Fields;
  const owned = updated(live, withDefaults(ref.kind, content, addressFor(state, live)), `${manager} Update`);
  return store(state, call, live, owned);
};

/** A PUT of the version that was read, by which MANAGER takes the content over that others wrote. */
export const update = (state: State, call: MemoryCall, object: KubeObject): KubeObject => {
  const live = state.stored.get(refKey(call.ref));
  if (live === undefined)
    throw fault(call, 404, "NotFound", `${resources[call.ref.kind].plural} "${call.ref.name}" not found`);
  if (isStale(object.metadata.resourceVersion, live.object))
    throw conflict(call, "the object has been modified; please apply your changes to the latest version and try again");
  const { status } = live.content;
  const next = withoutEmpty(frozen({ ...contentOf(object), ...(status !== undefined && { status }) })) as Fields;
  const { content, owners } = updated(live, withDefaults(call.ref.kind, next, addressFor(state, live)), CREATOR);
  return store(state, call, live, { content, owners: withContentOwnedBy(owners, APPLIER, isContent) });
};

export const removeObject = (state: State, ref: Ref): boolean => {
  const live = state.stored.get(refKey(ref));
  if (live === undefined || !isHeld(live.content)) return state.stored.delete(refKey(ref));
  const { metadata } = live.object;
  const marked = { deletionGracePeriodSeconds: 0, deletionTimestamp: timeOf(state), ...metadata };
  const object = { ...live.object, metadata: Object.freeze({ ...marked, resourceVersion: String(++state.revision) }) };
  state.stored.set(refKey(ref), { ...live, object: Object.freeze(object) });
  return true;
};

/** Deletes the version that was read. */
export const removeRead = (state: State, call: MemoryCall, { metadata }: KubeObject): void => {
  const live = state.stored.get(refKey(call.ref))?.object.metadata;
  if (live === undefined) return;
  const { uid = live.uid, resourceVersion = live.resourceVersion } = metadata;
  if (uid !== live.uid || resourceVersion !== live.resourceVersion)
    throw conflict(call, "the object that was read is no longer this one");
  removeObject(state, call.ref);
};

/** Whether a finalizer keeps an object that is deleted. */
const isHeld = ({ metadata = {} }: Fields): boolean => "finalizers" in (metadata as Fields);

const conflict = (call: MemoryCall, says: string): ClusterError =>
  fault(
    call,
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${resources[call.ref.kind].plural} "${call.ref.name}": ${says}`,
  );

const unprocessable = ({ verb, ref }: MemoryCall, wrong: readonly string[]): ClusterError =>
  fault({ verb, ref }, 422, "Invalid", `${ref.kind} "${ref.name}" is invalid: ${wrong.join(", ")}`);

/** Whether another write came first: 409. A version of `""` or `"0"` makes the write unconditional. */
const isStale = (given: string | undefined, live: KubeObject): boolean =>
  given !== undefined && given !== "" && given !== "0" && given !== live.metadata.resourceVersion;

/** The part of an object that has owners: all but its identity, the API server's own metadata and its status. */
const contentOf = (object: KubeObject): Fields => {
  const content: Record<string, unknown> = {};
  for (const field of Object.keys(object)) {
    if (!unownedFields.has(field)) content[field] = object[field];
  }
  const metadata: Record<string, unknown> = {};
  for (const field of ownedMetadata) {
    const value = object.metadata[field];
    if (value !== undefined) metadata[field] = value;
  }
  if (Object.keys(metadata).length > 0) content["metadata"] = metadata;
  return content;
};
const unownedFields: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata", "status"]);
const ownedMetadata = ["labels", "annotations", "ownerReferences", "finalizers"];

/** Stores the object with a new version and its defaults. Returns the live object itself when nothing changed. */
const store = (
  state: State,
  call: MemoryCall,
  live: Stored | undefined,
  { content: asked, owners }: Owned,
  lastApplied?: Fields,
  generateName?: string,
): KubeObject => {
  const { kind, namespace, name } = call.ref;
  const full = withDefaults(kind, withoutEmpty(asked) as Fields, addressFor(state, live));
  const content = live !== undefined && isEqual(full, live.content) ? live.content : full;
  if (live !== undefined && content === live.content && owners === live.owners) {
    live.lastApplied = lastApplied ?? live.lastApplied;
    return live.object;
  }
  if (isTooLarge(content))
    throw fault(call, 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
  const wrong = [
    ...problems(kind, namespace, name, content),
    ...(kind === "Service" ? addressProblems(state, live, content) : []),
    ...(live === undefined ? [] : changedImmutable(kind, live.content, content)),
  ];
  if (wrong.length > 0) throw unprocessable(call, wrong);
  const time = timeOf(state);
  const { metadata, ...rest } = content;
  const object = Object.freeze({
    apiVersion: resources[kind].apiVersion,
    kind,
    metadata: Object.freeze({
      ...identity(state, call.ref, live, content, time, generateName),
      namespace,
      resourceVersion: String(++state.revision),
      ...(metadata as Fields | undefined),
      managedFields: managedFields(kind, live, owners, time),
    }),
    ...rest,
  });
  if ("deletionTimestamp" in object.metadata && !isHeld(content)) state.stored.delete(refKey(call.ref));
  else state.stored.set(refKey(call.ref), { content, owners, object, lastApplied });
  return object;
};
