/**
 * The managers that own the fields of an object (metadata.managedFields, in the notation FieldsV1). Server-side apply
 * drops a field that a manager no longer applies only where no other manager owns it. So fields of another tool in an
 * object of the webhook would never go away. Such tools are Helm before an adoption, and backup tools that restore
 * without managedFields.
 */
import { MANAGER } from "../core/names.ts";
import type { KubeObject } from "./cluster.ts";

/** A field's name with the fields in it; `{}`: the field with all that is in it. */
type FieldsV1 = { readonly [name: string]: FieldsV1 };
type Entry = {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly apiVersion?: string;
  readonly time?: string;
  readonly fieldsV1?: FieldsV1;
  readonly [field: string]: unknown;
};

const CONTENT = ["f:spec", "f:data"];
/**
 * Fields that the API server sets in a Service, and notes of others on a gateway's pods, such as those of `kubectl
 * rollout restart`.
 */
const LEFT = ["f:spec/f:clusterIP", "f:spec/f:clusterIPs", "f:spec/f:ipFamilies", "f:spec/f:template/f:metadata"];

/** Whether a field, by its path (`f:spec/f:ports`), is content that MANAGER takes over. */
export const isContent = (path: string): boolean =>
  CONTENT.some((each) => isWithin(path, each)) && !LEFT.some((each) => isWithin(path, each));
const isWithin = (path: string, outer: string): boolean => path === outer || path.startsWith(`${outer}/`);

const entriesOf = ({ metadata }: KubeObject): readonly Entry[] => metadata.managedFields ?? [];
const isOurs = ({ manager, operation }: Entry): boolean => manager === MANAGER && operation === "Apply";
/** Fields that controllers write with a status are not content. */
const mayHold = (entry: Entry): boolean => !isOurs(entry) && entry.subresource === undefined;

/** Whether others own a part of its content. */
export const isHeldByOthers = (object: KubeObject): boolean =>
  entriesOf(object).some((entry) => mayHold(entry) && size(split(entry.fieldsV1 ?? {}).taken) > 0);

/** The object's managedFields with its content taken from all others and given to MANAGER's apply. */
export const takenOver = (object: KubeObject): readonly Entry[] => {
  const entries = entriesOf(object);
  let ours = entries.find(isOurs) ?? {
    ...{ manager: MANAGER, operation: "Apply", apiVersion: object.apiVersion, fieldsType: "FieldsV1" },
    ...(entries[0]?.time !== undefined && { time: entries[0].time }),
  };
  const others = entries
    .filter((entry) => !isOurs(entry))
    .flatMap((entry) => {
      const { taken, left } = mayHold(entry) ? split(entry.fieldsV1 ?? {}) : { taken: {}, left: entry.fieldsV1 ?? {} };
      ours = { ...ours, fieldsV1: union(ours.fieldsV1 ?? {}, taken) };
      return size(left) === 0 ? [] : [{ ...entry, fieldsV1: left }];
    });
  return [...(size(ours.fieldsV1 ?? {}) === 0 ? [] : [ours]), ...others];
};

const size = (fields: FieldsV1): number => Object.keys(fields).length;

/** The content among the fields, and the rest. */
const split = (fields: FieldsV1, path = ""): { readonly taken: FieldsV1; readonly left: FieldsV1 } => {
  const taken: Record<string, FieldsV1> = {};
  const left: Record<string, FieldsV1> = {};
  for (const [name, inner] of Object.entries(fields)) {
    const at = path === "" ? name : `${path}/${name}`;
    if (!isInside(at) || size(inner) === 0) (isContent(at) ? taken : left)[name] = inner;
    else {
      const parts = split(inner, at);
      if (size(parts.taken) > 0) taken[name] = parts.taken;
      if (size(parts.left) > 0) left[name] = parts.left;
    }
  }
  return { taken, left };
};
/** A field of which a part is left to others. */
const isInside = (path: string): boolean => LEFT.some((each) => each.startsWith(`${path}/`));

const union = (a: FieldsV1, b: FieldsV1): FieldsV1 => {
  const all: Record<string, FieldsV1> = { ...a };
  for (const [name, inner] of Object.entries(b)) all[name] = name in a ? union(a[name] ?? {}, inner) : inner;
  return all;
};
