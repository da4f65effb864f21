import { isEqual } from "../core/equal.ts";
import {
  addFields,
  entryOf,
  type Fields,
  isGranular,
  itemOf,
  itemPath,
  itemsOf,
  listKeys,
  type FieldPlace,
} from "./fields.ts";

/** Adds the paths of new and changed values to `changed`, and those that `after` lacks to `removed`. */
export const compare = (
  before: unknown,
  after: unknown,
  place: FieldPlace,
  changed: Set<string>,
  removed: Set<string>,
): void => {
  if (before === after) return;
  if (before === undefined) {
    addFields(after, place, changed, []);
    return;
  }
  if (after === undefined) {
    addFields(before, place, removed, []);
    return;
  }
  const keys = listKeys(before, place.parent, place.field);
  if (keys !== undefined && Array.isArray(after)) {
    const had = new Map(itemsOf(before).map((item) => [itemPath("", item, keys), item]));
    for (const item of itemsOf(after)) {
      const key = itemPath("", item, keys);
      const old = had.get(key);
      had.delete(key);
      const at = itemOf(place, item, keys);
      if (old === undefined) changed.add(at.path);
      compareEntries(old ?? {}, item, at, changed, removed);
    }
    for (const item of had.values()) {
      const at = itemOf(place, item, keys);
      removed.add(at.path);
      compareEntries(item, {}, at, changed, removed);
    }
  } else if (isGranular(before, place.field) && isGranular(after, place.field)) {
    compareEntries(before, after, place, changed, removed);
  } else if (!isEqual(before, after)) {
    changed.add(place.path);
  }
};

const compareEntries = (
  before: Fields,
  after: Fields,
  place: FieldPlace,
  changed: Set<string>,
  removed: Set<string>,
): void => {
  if (before === after) return;
  for (const field of Object.keys(after)) compare(before[field], after[field], entryOf(place, field), changed, removed);
  for (const field of Object.keys(before))
    if (!(field in after)) compare(before[field], undefined, entryOf(place, field), changed, removed);
};
