import type { AddOperation, RemoveOperation, ReplaceOperation } from "fast-json-patch";

/** A JSON Patch operation (RFC 6902) of the kinds that the webhook sends. */
export type PatchOperation = AddOperation<unknown> | ReplaceOperation<unknown> | RemoveOperation;

const escaped = (segment: string): string => {
  const first = segment.includes("~") ? segment.replaceAll("~", "~0") : segment;
  return first.includes("/") ? first.replaceAll("/", "~1") : first;
};

/** A JSON Pointer (RFC 6901) made of raw path segments: `~` and `/` are escaped. */
export const pointer = (...segments: readonly (string | number)[]): string => {
  let path = "";
  for (const segment of segments) path += `/${typeof segment === "number" ? segment : escaped(segment)}`;
  return path;
};
