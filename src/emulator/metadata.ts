/** What the API server writes into an object's metadata itself. */
import { isEqual } from "../core/equal.ts";
import type { Owned, Owners } from "./apply.ts";
import { type Kind, type KubeObject, type Ref, resources } from "../cluster/cluster.ts";
import { type Fields } from "./fields.ts";

export type Stored = Owned & {
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

/** Who an object is: what it was made as, and which version of it this is. */
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

/** What `metadata.generation` counts the changes of: the spec (or what stands for one), and a Deployment's annotations too. */
const generationFields = (kind: Kind, content: Fields | undefined): unknown =>
  content && [
    content["spec"],
    content["webhooks"],
    kind === "Deployment" && (content["metadata"] as Fields | undefined)?.["annotations"],
  ];

/** Who wrote which of an object's fields, and when; without the fields themselves. */
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
      });
    }),
  );

/** The API server's alphabet for generated names: no vowels and nothing that looks like one, so no words. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const GENERATED_LENGTH = 5;
const LONGEST_BASE = 63 - GENERATED_LENGTH;

/** The name that `generateName` asks for; `""`: none was asked for. */
export const generatedName = (state: State, { generateName = "" }: { readonly generateName?: string }): string => {
  if (generateName === "") return "";
  let rest = ++state.count;
  let suffix = "";
  for (; suffix.length < GENERATED_LENGTH; rest = Math.floor(rest / ALPHABET.length)) {
    suffix = ALPHABET.charAt(rest % ALPHABET.length) + suffix;
  }
  return generateName.slice(0, LONGEST_BASE) + suffix;
};
