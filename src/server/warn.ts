/**
 * `POST /warn`: what the pods of a workload will get, said when the workload is applied. It allows everything and
 * changes nothing.
 */
import * as z from "zod";
import type { PodCreation, Turn } from "../admit.ts";
import type { Admission } from "../core/admission.ts";
import { nearMisses } from "../core/near-misses.ts";
import type { Pod } from "../core/pod.ts";
import { issueTexts, parseJson, textMap } from "../core/schema.ts";
import { address } from "../core/target.ts";
import { fitted } from "../core/warnings.ts";
import { podIn } from "../manifests/template.ts";
import { cutterOf } from "./cut.ts";
import { LONGEST_UID } from "./limits.ts";
import { API_VERSION, namespaceField, type Unread, unread } from "./review.ts";
import type { Shape } from "./shape.ts";

const workload = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ labels: textMap.nullish(), annotations: textMap.nullish() }),
});
const reviewSchema = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal("AdmissionReview"),
  request: z.object({ uid: z.string().min(1).max(LONGEST_UID), namespace: namespaceField, object: workload.nullish() }),
});

/** The fields of a review that are read. */
const cutReview = cutterOf({
  apiVersion: true,
  kind: true,
  request: { uid: true, namespace: true, object: true } satisfies Record<
    keyof z.input<typeof reviewSchema>["request"],
    Shape
  >,
});

type WorkloadReview = {
  readonly uid: string;
  readonly namespace: string;
  readonly readPod: () => WorkloadPod;
};
type WorkloadPod = {
  /** `undefined` for an object without a template that can be read, of which nothing is said. */
  readonly pod: Pod | undefined;
  readonly nearMisses: readonly string[];
};

/** Reads the body of a request, whose bytes it changes. Returns the reason when it is no review of a workload. */
export const readWorkloadReview = (body: Buffer): WorkloadReview | Unread => {
  const cut = cutReview(body);
  if (typeof cut === "string") return unread(`the body holds ${cut}: that is no review of a workload`, 413);
  const value = parseJson(cut.rest);
  if (value === undefined) return unread("the body is not JSON");
  const { data, error } = reviewSchema.safeParse(value);
  if (error !== undefined)
    return unread(`not an AdmissionReview of a workload: ${issueTexts("", error, 3).join("; ")}`);
  const { uid, namespace, object } = data.request;
  const readPod = (): WorkloadPod => {
    const pod = object ? podIn(object)?.pod : undefined;
    return { pod, nearMisses: pod && object ? nearMisses(pod, object.metadata) : [] };
  };
  return { uid, namespace, readPod };
};

/** The warnings for a workload, the code of an outcome first. `admit` writes nothing: it is asked as in a dry run. */
export const warningsFor = async (
  { readPod, namespace }: WorkloadReview,
  admit: (creation: PodCreation) => Promise<Admission>,
  asked: Pick<PodCreation, "signal"> & { readonly turn: Turn },
): Promise<readonly string[]> => {
  const { pod, nearMisses } = await asked.turn.take(readPod);
  return pod === undefined
    ? []
    : [...nearMisses, ...outcomeTexts(await admit({ pod, namespace, dryRun: true, ...asked }))];
};

/** An outcome as it will be for each pod: nothing of one that is let through without a word. */
const outcomeTexts = (admission: Admission): readonly string[] => {
  const { outcome, reason, message = "", warnings, assignments } = admission;
  if (outcome === "reject") return [`${reason}: each pod will be refused: ${message}`];
  if (outcome === "fail") return [`${reason}: not known yet what a pod gets: ${message}`];
  if (outcome !== "inject") return warnings;
  return [
    ...assignments.map(
      ({ target, host, port }) => `${reason}: ${address(target.host, target.port)} at ${address(host, port)}`,
    ),
    ...warnings,
  ];
};

/** The AdmissionReview that answers: allowed, with these warnings. */
export const writeWarnings = (uid: string, warnings: readonly string[]): string =>
  JSON.stringify({
    apiVersion: API_VERSION,
    kind: "AdmissionReview",
    response: { uid, allowed: true, ...(warnings.length > 0 && { warnings: fitted(warnings) }) },
  });
