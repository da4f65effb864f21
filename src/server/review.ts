import * as z from "zod";
import { type Cut, cutterOf } from "./cut.ts";
import { type Admission, auditAnnotations } from "../core/admission.ts";
import { fitted } from "../core/warnings.ts";
import { createSeen, perObject, perText } from "../core/memo.ts";
import { type Pod, POD_FIELDS, readPod } from "../core/pod.ts";
import { plain } from "../core/message.ts";
import { LONGEST_NAME, LONGEST_UID } from "./limits.ts";
import { type Owner, OWNER_FIELDS, ownerOf } from "./owner.ts";
import { issueTexts, parseJson, quote } from "../core/schema.ts";
import { reasons } from "../core/reasons.ts";
import type { Shape } from "./shape.ts";

export const API_VERSION = "admission.k8s.io/v1";

/** A DNS label (RFC 1123), as the API server checks it: data that is kept by namespace stays small for every caller. */
export const namespaceField = z
  .string()
  .regex(/^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$/, "not the name of a namespace")
  .default("");

/** admission.k8s.io/v1 AdmissionReview, as far as it is read; the rest is left out. */
const reviewSchema = z.object({
  apiVersion: z.string(),
  kind: z.literal("AdmissionReview"),
  request: z.object({
    uid: z.string().min(1).max(LONGEST_UID),
    resource: z.object({ group: z.string(), version: z.string(), resource: z.string() }),
    subResource: z.string().optional(),
    namespace: namespaceField,
    operation: z.string(),
    dryRun: z.boolean().nullish(),
    object: z.unknown(),
  }),
});

export type Review = {
  readonly uid: string;
  readonly namespace: string;
  readonly dryRun: boolean;
  /** The pod that is about to be made; undefined for any other request. */
  readonly pod: Pod | undefined;
  /** The text that the pod was read from, where it was read before: equal for equal pods. */
  readonly text: string | undefined;
  /** Its name, or where the name is yet to be made what it will begin with. */
  readonly podName: string | undefined;
  /** The controller that makes the pod, such as a ReplicaSet. */
  readonly owner: Owner | undefined;
};

/** A review of which all but the object is read. */
export type ReviewHead = Pick<Review, "uid" | "namespace" | "dryRun"> & { readonly readObject: () => Review | Unread };

const OBJECT = {
  ...POD_FIELDS,
  metadata: { ...POD_FIELDS.metadata, name: true, generateName: true, ownerReferences: OWNER_FIELDS },
} satisfies Shape;
/** The fields of a review that are read: those of the schemas here, and those of a pod in the core. */
const cutReview = cutterOf(
  {
    apiVersion: true,
    kind: true,
    request: {
      uid: true,
      resource: true,
      subResource: true,
      namespace: true,
      operation: true,
      dryRun: true,
      object: OBJECT,
    } satisfies Record<keyof z.input<typeof reviewSchema>["request"], Shape>,
  },
  OBJECT,
);

/** Why a body is not read, and the HTTP status that says so. */
export type Unread = { readonly status: 400 | 413; readonly problem: string };
export const unread = (problem: string, status: Unread["status"] = 400): Unread => ({ status, problem });

/** Room for some thousand different pods; one takes up to eight times its text (objects of small fields). */
const PODS_BYTES = 16 * 1024 * 1024;
const POD_FACTOR = 8;
/** About as many as have that room: a pod that comes again after more of others is a new one. */
const PODS_SEEN = 2048;

/**
 * Makes the function that reads a request's body, and changes its bytes. The function returns the reason when the body
 * is no AdmissionReview of this version. The object is read apart, because that costs more and can wait for its turn.
 * Pods with equal read fields are one object from the second on.
 */
export const createReviewReader = (): ((body: Buffer) => ReviewHead | Unread) => {
  const podsByText = perText<ObjectReading>(PODS_BYTES, (_pod, text) => POD_FACTOR * text.length);
  const isSeen = createSeen(PODS_SEEN);
  return (body) => {
    const cut = cutReview(body);
    if (typeof cut === "string") return unread(`the body holds ${cut}: that is no review of a pod`, 413);
    const envelope = readEnvelope(cut);
    if ("problem" in envelope) return envelope;
    const { isPodCreation, ...head } = envelope;
    const readPodIn = (text: string): Review | Unread => {
      const isKept = isSeen(text);
      const read = isKept ? podsByText(text, readObject) : readObject(text);
      return "problem" in read ? read : { ...head, text: isKept ? text : undefined, ...read };
    };
    const other = { ...head, pod: undefined, text: undefined, podName: undefined, owner: undefined };
    return { ...head, readObject: () => (isPodCreation ? readPodIn(cut.part ?? "null") : other) };
  };
};

/** A review without its object. */
type Envelope = Pick<Review, "uid" | "namespace" | "dryRun"> & { readonly isPodCreation: boolean };

const readEnvelope = ({ rest }: Cut): Envelope | Unread => {
  const body = parseJson(rest) as { readonly apiVersion?: unknown } | null | undefined;
  if (body === undefined) return unread("the body is not JSON");
  const version = body?.apiVersion;
  if (typeof version === "string" && version.startsWith("admission.k8s.io/") && version !== API_VERSION) {
    return unread(
      `apiVersion: ${quote(version)} is not spoken, only ${API_VERSION}: list it in the webhook's admissionReviewVersions`,
    );
  }
  const parsed = reviewSchema.safeParse(body);
  if (!parsed.success) return unread(`not an AdmissionReview: ${issueTexts("", parsed.error, 3).join("; ")}`);
  if (version !== API_VERSION) return unread(`apiVersion: ${quote(version)} is not ${API_VERSION}`);
  const { uid, namespace, dryRun, operation, resource, subResource } = parsed.data.request;
  const isPod = resource.group === "" && resource.version === "v1" && resource.resource === "pods";
  const isWhole = subResource === undefined || subResource === "";
  return { uid, namespace, dryRun: dryRun === true, isPodCreation: operation === "CREATE" && isPod && isWhole };
};

type ObjectReading = (Pick<Review, "podName" | "owner"> & { readonly pod: Pod }) | Unread;

const readObject = (text: string): ObjectReading => {
  const object = parseJson(text);
  if (object === undefined) return unread("the body is not JSON");
  const read = readPod(object);
  if (read.kind === "invalid") return unread(`not a pod: ${issueTexts("request.object", read.error, 3).join("; ")}`);
  const { metadata } = object as { readonly metadata: Names & { readonly ownerReferences?: unknown } };
  return { pod: read.pod, podName: podName({ metadata }), owner: ownerOf(metadata.ownerReferences) };
};

type Names = { readonly name?: unknown; readonly generateName?: unknown };
const podName = ({ metadata: { name, generateName } }: { readonly metadata: Names }): string | undefined => {
  const given = [name, generateName].find((text) => typeof text === "string");
  return given === undefined ? undefined : plain(given, LONGEST_NAME);
};

/** The AdmissionReview that answers request `uid`, as JSON. A failed admission has an HTTP status instead. */
export const writeReview = (uid: string, admission: Admission): string =>
  `{"apiVersion":"${API_VERSION}","kind":"AdmissionReview","response":{"uid":${JSON.stringify(uid)},${answerOf(admission)}}}`;

/** A patch in base64 has no character that JSON escapes. */
const patchMembers = (operations: Admission["operations"]): string =>
  `,"patchType":"JSONPatch","patch":"${Buffer.from(JSON.stringify(operations)).toString("base64")}"`;

/** The members of a response that follow the uid: the same for all pods that have the same admission. */
const answerOf = perObject((admission: Admission): string => {
  const { operations, warnings } = admission;
  const audit = auditAnnotations(admission);
  const rest = {
    ...(warnings.length > 0 && { warnings: fitted(warnings) }),
    ...(audit !== undefined && { auditAnnotations: audit }),
    ...(admission.outcome === "reject" && { status: rejectionStatus(admission) }),
  };
  const members = JSON.stringify(rest).slice(1, -1);
  const patch = operations.length === 0 ? "" : patchMembers(operations);
  return `"allowed":${admission.outcome !== "reject"}${patch}${members === "" ? "" : `,${members}`}`;
});

/**
 * The body of an HTTP error: a meta/v1 Status, whose message the API server hands on. Of any other body it says nothing
 * when the code is 503 or 504 (apimachinery `NewGenericServerResponse`).
 */
export const writeFailure = (code: number, message: string): unknown => ({
  apiVersion: "v1",
  kind: "Status",
  status: "Failure",
  code,
  message,
});

/** meta/v1 Status: the API server shows `message` to the person and keeps `code`. */
const rejectionStatus = ({ reason, message }: Admission): unknown => {
  const text = reasons[reason];
  return { code: text.outcome === "reject" ? text.code : 403, reason, message: `${reason}: ${message ?? text.says}` };
};
