/** The objects of a cluster in memory, and what each write makes of them. */
import { MANAGER } from "../core/words.ts";
import { applied, type Owned, type Owners, updated } from "./apply.ts";
import { type Cluster, ClusterError, type Kind, type KubeObject, type Ref, resources } from "./cluster.ts";
import { type Fields, frozen, isEqual, withoutEmpty } from "./fields.ts";
import { changedForEver, isTooLarge, problems, withDefaults } from "./memory-rules.ts";

/** One call as the hooks see it. The name is `""` for a list, and for an object whose name is to be generated. */
export type MemoryCall = { readonly verb: keyof Cluster; readonly ref: Ref; readonly object?: KubeObject };

/** The error of a call that the API server refuses. */
export const fault = (call: MemoryCall, code: number, reason: string, says: string): ClusterError =>
  new ClusterError({ verb: call.verb, ref: call.ref, code, reason, says });

type Stored = Owned & {
  readonly object: KubeObject;
  /** What MANAGER applied last, while nobody wrote since: to apply it again changes nothing. */
  lastApplied: Fields | undefined;
};
export type State = {
  readonly stored: Map<string, Stored>;
  /** The last resourceVersion given. One count for all objects, as in etcd. */
  revision: number;
  /** How many uids, names and addresses were given. */
  count: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
};

const APPLIER = `${MANAGER} Apply`;
const CREATOR = `${MANAGER} Update`;
const withGeneration: ReadonlySet<Kind> = new Set([
  "Deployment",
  "MutatingWebhookConfiguration",
  "NetworkPolicy",
  "Pod",
]);

export const keyOf = ({ kind, namespace, name }: Ref): string => `${kind} ${namespace} ${name}`;

export const create = (state: State, call: MemoryCall, object: KubeObject): KubeObject => {
  const { name = generatedName(state, object.metadata), generateName, resourceVersion } = object.metadata;
  if (resourceVersion !== undefined && resourceVersion !== "") {
    throw fault(call, 500, "Unknown", "resourceVersion should not be set on objects to be created");
  }
  const ref = { ...call.ref, name };
  if (state.stored.has(keyOf(ref))) {
    throw fault(call, 409, "AlreadyExists", `${resources[ref.kind].plural} "${name}" already exists`);
  }
  const content = withDefaults(ref.kind, withoutEmpty(frozen(contentOf(object))) as Fields, nextAddress(state));
  const owned = updated(undefined, content, CREATOR);
  return store(state, { ...call, ref }, undefined, owned, undefined, generateName);
};

export const apply = (state: State, call: MemoryCall, object: KubeObject): KubeObject => {
  const live = state.stored.get(keyOf(call.ref));
  const { resourceVersion, uid, managedFields = [] } = object.metadata;
  if (managedFields.length > 0) throw fault(call, 400, "BadRequest", "metadata.managedFields must be nil");
  if (uid !== undefined && live === undefined) {
    throw conflict(call, `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`);
  }
  if (uid !== undefined && uid !== live?.object.metadata.uid) {
    throw invalid(call, [`metadata.uid: Invalid value: "${uid}": field is immutable`]);
  }
  if (live !== undefined && isStale(resourceVersion, live.object)) {
    throw conflict(call, "the object has been modified; please apply your changes to the latest version and try again");
  }
  const config = contentOf(object);
  if (live?.lastApplied !== undefined && isEqual(live.lastApplied, config)) return live.object;
  const copy = frozen(config) as Fields;
  const owned = applied(live, copy, APPLIER);
  if ("repeated" in owned) {
    throw invalid(call, [`duplicate entries: ${owned.repeated.join(", ")}`]);
  }
  return store(state, call, live, owned, copy);
};

export const edit = (
  state: State,
  manager: string,
  ref: Ref,
  change: (object: KubeObject) => KubeObject,
): KubeObject => {
  const call: MemoryCall = { verb: "apply", ref };
  const live = state.stored.get(keyOf(ref));
  if (live === undefined) throw fault(call, 404, "NotFound", `${resources[ref.kind].plural} "${ref.name}" not found`);
  const next = change(live.object);
  const content = withoutEmpty(
    frozen({ ...contentOf(next), ...("status" in next && { status: next["status"] }) }),
  ) as Fields;
  const owned = updated(live, withDefaults(ref.kind, content, nextAddress(state)), `${manager} Update`);
  return store(state, call, live, owned);
};

export const remove = (state: State, ref: Ref): boolean => {
  const live = state.stored.get(keyOf(ref));
  if (live === undefined || !isHeld(live.content)) return state.stored.delete(keyOf(ref));
  const { metadata } = live.object;
  const marked = { deletionGracePeriodSeconds: 0, deletionTimestamp: timeOf(state), ...metadata };
  const object = { ...live.object, metadata: Object.freeze({ ...marked, resourceVersion: String(++state.revision) }) };
  state.stored.set(keyOf(ref), { ...live, object: Object.freeze(object) });
  return true;
};

/** Whether a finalizer keeps an object that is deleted. */
const isHeld = ({ metadata = {} }: Fields): boolean => "finalizers" in (metadata as Fields);

const timeOf = (state: State): string => `${new Date(state.now()).toISOString().slice(0, 19)}Z`;

const conflict = (call: MemoryCall, says: string): ClusterError =>
  fault(
    call,
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${resources[call.ref.kind].plural} "${call.ref.name}": ${says}`,
  );

const invalid = ({ verb, ref }: MemoryCall, wrong: readonly string[]): ClusterError =>
  fault({ verb, ref }, 422, "Invalid", `${ref.kind} "${ref.name}" is invalid: ${wrong.join(", ")}`);

/** A version of `""` or `"0"` is none: the write is unconditional. */
const isStale = (given: string | undefined, live: KubeObject): boolean =>
  given !== undefined && given !== "" && given !== "0" && given !== live.metadata.resourceVersion;

/** The part of an object that has owners: not its identity, not what the API server keeps itself, not its status. */
const contentOf = (object: KubeObject): Fields => {
  const content: Record<string, unknown> = {};
  for (const field of Object.keys(object)) {
    if (!unowned.has(field)) content[field] = object[field];
  }
  const metadata: Record<string, unknown> = {};
  for (const field of ownedMetadata) {
    const value = object.metadata[field];
    if (value !== undefined) metadata[field] = value;
  }
  if (Object.keys(metadata).length > 0) content["metadata"] = metadata;
  return content;
};
const unowned: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata", "status"]);
const ownedMetadata = ["labels", "annotations", "ownerReferences", "finalizers"];

/** Gives the object its place, a new version and its defaults; the live object itself when nothing changed. */
const store = (
  state: State,
  call: MemoryCall,
  live: Stored | undefined,
  { content: asked, owners }: Owned,
  lastApplied?: Fields,
  generateName?: string,
): KubeObject => {
  const { kind, namespace, name } = call.ref;
  const full = withDefaults(kind, withoutEmpty(asked) as Fields, nextAddress(state));
  const content = live !== undefined && isEqual(full, live.content) ? live.content : full;
  if (live !== undefined && content === live.content && owners === live.owners) {
    live.lastApplied = lastApplied ?? live.lastApplied;
    return live.object;
  }
  if (isTooLarge(content))
    throw fault(call, 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
  const wrong = [
    ...problems(kind, namespace, name, content),
    ...(live === undefined ? [] : changedForEver(kind, live.content, content)),
  ];
  if (wrong.length > 0) throw invalid(call, wrong);
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
  if ("deletionTimestamp" in object.metadata && !isHeld(content)) state.stored.delete(keyOf(call.ref));
  else state.stored.set(keyOf(call.ref), { content, owners, object, lastApplied });
  return object;
};

const identity = (
  state: State,
  { kind, name }: Ref,
  live: Stored | undefined,
  content: Fields,
  time: string,
  generateName?: string,
): Fields => {
  const old = live?.object.metadata;
  const given = generateName ?? old?.generateName;
  const generation = (old?.generation ?? 0) + (isEqual(counted(kind, live?.content), counted(kind, content)) ? 0 : 1);
  return {
    name,
    ...(given !== undefined && { generateName: given }),
    uid: old?.uid ?? `00000000-0000-4000-8000-${String(++state.count).padStart(12, "0")}`,
    ...(withGeneration.has(kind) && { generation }),
    creationTimestamp: old?.creationTimestamp ?? time,
    ...(old !== undefined && "deletionTimestamp" in old && deletionOf(old)),
  };
};

const deletionOf = ({ deletionGracePeriodSeconds, deletionTimestamp }: KubeObject["metadata"]): Fields => ({
  deletionGracePeriodSeconds,
  deletionTimestamp,
});

/** What `metadata.generation` counts the changes of: the spec (or what stands for one), and a Deployment's annotations too. */
const counted = (kind: Kind, content: Fields | undefined): unknown =>
  content && [
    content["spec"],
    content["webhooks"],
    kind === "Deployment" && (content["metadata"] as Fields | undefined)?.["annotations"],
  ];

const managedFields = (kind: Kind, live: Stored | undefined, owners: Owners, time: string): readonly Fields[] =>
  Object.freeze(
    [...owners].map(([owner, paths]) => {
      const [manager, operation] = owner.split(/ (?=\w+$)/);
      const old = live?.object.metadata.managedFields?.find(
        (e) => e["manager"] === manager && e["operation"] === operation,
      );
      if (old !== undefined && live?.owners.get(owner) === paths) return old;
      return Object.freeze({
        manager,
        operation,
        apiVersion: resources[kind].apiVersion,
        time,
        fieldsType: "FieldsV1",
      });
    }),
  );

const nextAddress = (state: State) => (): string => {
  const count = ++state.count;
  return `10.96.${(count >> 8) & 255}.${count & 255}`;
};

/** The API server's alphabet for generated names: no vowels and nothing that looks like one, so no words. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const GENERATED_LENGTH = 5;
const LONGEST_BASE = 63 - GENERATED_LENGTH;

const generatedName = (state: State, { generateName = "" }: { readonly generateName?: string }): string => {
  if (generateName === "") return "";
  let rest = ++state.count;
  let suffix = "";
  for (; suffix.length < GENERATED_LENGTH; rest = Math.floor(rest / ALPHABET.length)) {
    suffix = ALPHABET.charAt(rest % ALPHABET.length) + suffix;
  }
  return generateName.slice(0, LONGEST_BASE) + suffix;
};
