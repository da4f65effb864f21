import * as z from "zod";
import { plain } from "../core/message.ts";
import { LONGEST_NAME, LONGEST_UID } from "./limits.ts";

/** A pod's controller, as its ownerReferences have it. */
export type Owner = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
};

const ownerSchema = z.object({
  apiVersion: z.string().max(LONGEST_NAME),
  kind: z.string().max(LONGEST_NAME),
  name: z.string().max(LONGEST_NAME),
  uid: z.string().max(LONGEST_UID),
  controller: z.literal(true),
});
/** The fields of an owner reference that are read. */
export const OWNER_FIELDS = {
  apiVersion: true,
  kind: true,
  name: true,
  uid: true,
  controller: true,
} as const satisfies Record<keyof z.infer<typeof ownerSchema>, true>;

/** Read to be named: what is not as it should be is left to the API server. */
export const ownerOf = (references: unknown): Owner | undefined => {
  if (!Array.isArray(references)) return undefined;
  const { data } = ownerSchema.safeParse(
    references.find((each: { controller?: unknown } | null) => each?.controller === true),
  );
  if (data === undefined) return undefined;
  const shown = (text: string): string => plain(text, LONGEST_NAME);
  const { apiVersion, kind, name, uid } = data;
  return { apiVersion: shown(apiVersion), kind: shown(kind), name: shown(name), uid };
};
