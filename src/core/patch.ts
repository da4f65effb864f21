import type { AddOperation, RemoveOperation, ReplaceOperation } from "fast-json-patch";

/** A JSON Patch operation (RFC 6902) of the kinds that the webhook sends. */
export type PatchOperation = AddOperation<unknown> | ReplaceOperation<unknown> | RemoveOperation;

/** A JSON Pointer (RFC 6901) made of raw path segments: `~` and `/` are escaped. */
export const pointer = (...segments: readonly (string | number)[]): string =>
  segments.map((segment) => `/${String(segment).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
