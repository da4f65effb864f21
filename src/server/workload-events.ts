/** Events about workloads whose pods were refused: `kubectl describe` shows them where the user looks, at the Deployment. */
import type { Admission } from "../core/admission.ts";
import { plain } from "../core/message.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { eventAbout, type Involved } from "../cluster/event.ts";
import { createRefusals } from "./refusals.ts";
import type { Owner } from "./owner.ts";
import type { Review } from "./review.ts";

/** For all workloads together: any caller of the port may send reviews. The log has the rest. */
const MOST_A_MINUTE = 60;
/** For both calls of an Event, in milliseconds. No answer waits for them. */
const EVENT_MS = 5000;
/** As events.k8s.io/v1 has it of a note. */
const LONGEST_NOTE = 1024;

/**
 * Makes the function that is called with each admission after its answer. The function writes an Event for a refused
 * pod that a controller makes, once in ten minutes for one owner and reason. Other outcomes and dry runs write none. A
 * failed call is ignored: the controller's own Event and the log have the reason too. `now`: milliseconds.
 */
export const workloadEvents = (
  cluster: Cluster,
  now: () => number = Date.now,
): ((review: Review, admission: Admission) => void) => {
  const refusals = createRefusals(now);
  const allowance = allowancePerMinute(now);
  return (review, admission) => {
    const { owner, dryRun } = review;
    if (admission.outcome !== "reject" || dryRun || owner === undefined || !allowance.isLeft()) return;
    if (refusals.seen(review, admission.reason) === undefined) return;
    allowance.take();
    void write(cluster, review, owner, admission).catch(() => undefined);
  };
};

const allowancePerMinute = (now: () => number) => {
  let minute = 0;
  let taken = 0;
  return {
    isLeft: (): boolean => {
      const current = Math.floor(now() / 60_000);
      if (current !== minute) taken = 0;
      minute = current;
      return taken < MOST_A_MINUTE;
    },
    take: (): void => {
      taken += 1;
    },
  };
};

const write = async (
  cluster: Cluster,
  review: Review,
  owner: Owner,
  { reason, message = "" }: Admission,
): Promise<void> => {
  const signal = AbortSignal.timeout(EVENT_MS);
  const about = await workloadOf(cluster, review, owner, signal);
  const note = {
    type: "Warning",
    reason: "PodRefused",
    message: plain(`${reason}: ${message}`, LONGEST_NOTE),
  } as const;
  await cluster.create(eventAbout(about, note), signal);
};

/** A ReplicaSet's Deployment, where its uid can be read; else the owner itself. */
const workloadOf = async (
  cluster: Cluster,
  { namespace, pod }: Review,
  { apiVersion, kind, name, uid }: Owner,
  signal: AbortSignal,
): Promise<Involved> => {
  // The Deployment controller names a ReplicaSet after its Deployment and this label of its pods.
  const end = `-${pod?.metadata.labels?.["pod-template-hash"] ?? ""}`;
  const isOfDeployment = apiVersion === "apps/v1" && kind === "ReplicaSet" && end !== "-" && name.endsWith(end);
  const deployment = isOfDeployment ? name.slice(0, -end.length) : "";
  const ref = { kind: "Scale", namespace, name: deployment } as const;
  const scale = deployment === "" ? undefined : await cluster.get(ref, signal).catch(() => undefined);
  if (scale === undefined) return { apiVersion, kind, metadata: { name, namespace, uid } };
  const { uid: deploymentUid = "" } = scale.metadata;
  return { apiVersion, kind: "Deployment", metadata: { name: deployment, namespace, uid: deploymentUid } };
};
