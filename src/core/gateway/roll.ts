/**
 * The order in which the Deployments of one gateway are changed: pure. One that serves is changed only while all others
 * serve. One that is known to be down is changed at once, because no client uses it.
 *
 * Two processes must not change two of them at the same moment. A process changes one at the version that it read.
 * Before that it writes a note on each of the others, at the versions that it read of them. Another process that wants
 * to change one of those has a former version of it then, or has put a note on the first one. So one of the two writes
 * is refused, and both processes read again.
 *
 * The note is a label. An annotation would be a new generation of the Deployment, whose status is then about the one
 * before.
 */
/** A Deployment, as far as it says whether it serves. */
export type Live = {
  readonly metadata: {
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly deletionTimestamp?: unknown;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
};
type Status = {
  readonly observedGeneration?: number;
  readonly replicas?: number;
  readonly updatedReplicas?: number;
  readonly availableReplicas?: number;
};

/** `moving`: its controller has not yet reported on the spec that is in force. */
export type Health = "serves" | "down" | "moving";

/** Whether a pod of the spec that is in force is available. A pod of the spec before is none: it is about to end. */
export const healthOf = ({ metadata, ...rest }: Live): Health => {
  const { observedGeneration, replicas, updatedReplicas, availableReplicas = 0 } = { ...(rest["status"] as Status) };
  if (observedGeneration === undefined) return "down";
  if (observedGeneration !== metadata.generation || metadata.deletionTimestamp !== undefined) return "moving";
  if (availableReplicas === 0) return "down";
  return replicas === updatedReplicas ? "serves" : "moving";
};

/** A Deployment of the gateway; one that is `missing` has yet to be made. */
export type Member = {
  readonly name: string;
  readonly health: Health | "missing";
  readonly wish: "keep" | "change" | "remove";
};

/** The Deployments that may be changed or removed now: all that are down, else one that serves, while all others serve. */
export const nextSteps = (members: readonly Member[]): readonly Member[] => {
  const due = members.filter(({ wish, health }) => wish !== "keep" && health !== "missing");
  const down = due.filter(({ health }) => health === "down");
  if (down.length > 0) return down;
  if (members.some(({ health }) => health !== "serves")) return [];
  // One that is to go is of use until the others are as they should be.
  return [...due].sort((a, b) => Number(a.wish === "remove") - Number(b.wish === "remove")).slice(0, 1);
};

/** Says which version of which Deployment is about to be changed. */
export const rollNoteOf = ({ metadata: { uid, resourceVersion } }: Live): string => `${uid}.${resourceVersion}`;
