/** Reads the answers of an API server. */
import * as z from "zod";
import { SELDOM } from "../core/schema.ts";
import { ClusterError, type CallFailure, type Ref, type Verb } from "./cluster.ts";

export type Answer = {
  readonly code: number;
  readonly retryAfter: string | undefined;
  /** The `Warning` header, as it came. */
  readonly warnings: string | undefined;
  readonly text: string;
};

/** The meta/v1 Status of a failure. Each field may be missing: a proxy in between answers in its own form. */
const ApiStatus = z.object({
  kind: z.literal("Status"),
  reason: z.string().min(1).optional(),
  message: z.string().optional(),
  details: z.object({ retryAfterSeconds: z.number().optional() }).optional(),
});

const SHOWN = 200;

/**
 * Server-side apply answers with a 500 when it cannot read the object: an unknown field, a text for a number, a
 * repeated entry. A POST answers with a 400 or 422 then. The fault is the sender's, so a retry does not help.
 */
const UNREADABLE = /^failed to (create typed patch object|convert new object) /;

/**
 * The object of that uid was deleted, and another has its name: a race that was lost, as a `resourceVersion` that is
 * not the last.
 */
const OTHER_OBJECT = /metadata\.uid: Invalid value/;

const statusOf = (
  code: number,
  { reason = "Unknown", message = "" }: Partial<z.infer<typeof ApiStatus>>,
): Pick<CallFailure, "code" | "reason"> => {
  if (code === 500 && UNREADABLE.test(message)) return { code: 422, reason: "Invalid" };
  if (code === 422 && OTHER_OBJECT.test(message)) return { code: 409, reason: "Conflict" };
  return { code, reason };
};

/**
 * Every object has `metadata`, and every list has `items`. An answer with neither is not the API server's, at any HTTP
 * status. An empty list of metadata is `null`.
 */
const ApiObject = z.looseObject({ metadata: z.looseObject({}) });
const ApiList = z.union([
  z.looseObject({ items: z.array(ApiObject) }),
  z.looseObject({ kind: z.literal("PartialObjectMetadataList"), items: z.null() }),
]);

/** A deletion is answered by a meta/v1 Status, or by the object that a finalizer holds. */
const wanted: Readonly<Record<Verb, z.ZodType>> = {
  get: ApiObject,
  list: ApiList,
  create: ApiObject,
  apply: ApiObject,
  update: ApiObject,
  delete: z.looseObject({}),
};

/** The object or list that was asked for. Throws a ClusterError for any other answer. */
export const readAnswer = (
  { verb, ref }: { readonly verb: Verb; readonly ref: Ref },
  { code, retryAfter, text }: Answer,
): unknown => {
  const json = parsed(text);
  const isAnswer = code >= 200 && code < 300 && wanted[verb].safeParse(json, SELDOM).success;
  if (isAnswer) return json;
  const { data: status } = ApiStatus.safeParse(json);
  const seconds = Number(retryAfter ?? status?.details?.retryAfterSeconds);
  const failure: CallFailure = {
    verb,
    ref,
    ...statusOf(code, { ...status }),
    says: status?.message ?? `no answer of an API server: ${JSON.stringify(text.slice(0, SHOWN))}`,
    ...(Number.isFinite(seconds) && { retryAfterMs: seconds * 1000 }),
  };
  throw new ClusterError(failure);
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};
