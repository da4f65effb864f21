/** The metadata that the API server writes. */
import { isEqual } from "../core/equal.ts";
import type { Owned, Owners } from "./apply.ts";
import { type Kind, type KubeObject, type Ref, resources } from "../cluster/cluster.ts";
import { isContent } from "../cluster/managed-fields.ts";
import { type Fields } from "./fields.ts";

export type Stored = Owned & {
  readonly object: KubeObject;
  /** The object that MANAGER applied last, if no other write followed: applying it again changes nothing. */
  lastApplied: Fields | undefined;
};
export type State = {
  readonly stored: Map<string, Stored>;
  /** The last resourceVersion. One counter for all objects, as in etcd. */
  revision: number;
  /** The counter for uids, names and addresses. */
  count: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Services get cluster IPs. */
  readonly hasAddresses: boolean;
};

const withGeneration: ReadonlySet<Kind> = new Set([
  "Deployment",
  "MutatingWebhookConfiguration",
  "NetworkPolicy",
  "Pod",
]);

/** The time as objects hold it: in seconds, UTC. */
export const timeOf = (state: State): string => `${new Date(state.now()).toISOString().slice(0, 19)}Z`;

/** The identity and version of an object: name, uid, creationTimestamp, resourceVersion, generation. */
export const identity = (
  state: State,
  { kind, name }: Ref,
  live: Stored | undefined,
  content: Fields,
  time: string,
  generateName?: string,
): Fields => {
  const old = live?.object.metadata;
  const given = generateName ?? old?.generateName;
  const generation =
    (old?.generation ?? 0) + (isEqual(generationFields(kind, live?.content), generationFields(kind, content)) ? 0 : 1);
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

/**
 * The fields whose changes `metadata.generation` counts: the spec (or the webhooks of a configuration), and a
 * Deployment's annotations.
 */
const generationFields = (kind: Kind, content: Fields | undefined): unknown =>
  content && [
    content["spec"],
    content["webhooks"],
    kind === "Deployment" && (content["metadata"] as Fields | undefined)?.["annotations"],
  ];

/** `metadata.managedFields`: manager, operation and time; `fieldsV1` says only whether there is content. */
export const managedFields = (kind: Kind, live: Stored | undefined, owners: Owners, time: string): readonly Fields[] =>
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
        fieldsV1: [...paths].some(isContent) ? { "f:spec": {} } : {},
      });
    }),
  );

/** The API server's alphabet for generated names: no vowels and nothing that looks like one, so no words. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const GENERATED_LENGTH = 5;
const LONGEST_BASE = 63 - GENERATED_LENGTH;

/** A name with the prefix `generateName`; `""`: there is no `generateName`. */
export const generatedName = (state: State, { generateName = "" }: { readonly generateName?: string }): string => {
  if (generateName === "") return "";
  let rest = ++state.count;
  let suffix = "";
  for (; suffix.length < GENERATED_LENGTH; rest = Math.floor(rest / ALPHABET.length)) {
    suffix = ALPHABET.charAt(rest % ALPHABET.length) + suffix;
  }
  return generateName.slice(0, LONGEST_BASE) + suffix;
};
