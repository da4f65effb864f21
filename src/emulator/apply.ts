/**
 * Server-side apply on plain data: the ownership of fields, and an object's content after an apply or an update. The
 * steps are those of structured-merge-diff in the API server:
 *
 * 1. Merge.
 * 2. Drop each field that the manager no longer applies and no other manager owns.
 * 3. Take the ownership of each field whose value changed (force).
 */
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
  ROOT,
} from "./fields.ts";
import { compare } from "./changes.ts";

/**
 * Owner → the paths of its fields. An owner is a manager with its operation: Apply and Update have separate ownership.
 */
export type Owners = ReadonlyMap<string, ReadonlySet<string>>;
export type Owned = { readonly content: Fields; readonly owners: Owners };
const nothingOwned: Owned = { content: Object.freeze({}), owners: new Map() };

/** The live object with `config` applied, unchanged parts shared; or the paths that `config` holds more than once. */
export const applied = (live: Owned = nothingOwned, config: Fields, owner: string): Owned | { repeated: string[] } => {
  const fields = new Set<string>();
  const repeated: string[] = [];
  addFields(config, ROOT, fields, repeated);
  if (repeated.length > 0) return { repeated };
  const before = live.owners.get(owner) ?? new Set();
  const others = [...live.owners].filter(([name]) => name !== owner).map(([, paths]) => paths);
  const kept = [fields, ...others];
  const gone = without(before, fields, ...others);

  const merged = merge(live.content, config, ROOT) as Fields;
  const content = gone.size === 0 ? merged : ((prune(merged, ROOT, gone, kept) ?? {}) as Fields);
  const mine = before.size === fields.size && without(before, fields).size === 0 ? before : fields;
  return { content, owners: taken(live, content, owner, () => mine) };
};

/**
 * The live object after `owner` replaced it by `next` (a PUT). The owner owns the fields that it changed; removed
 * fields have no owner.
 */
export const updated = (live: Owned = nothingOwned, next: Fields, owner: string): Owned => {
  if (isEqual(live.content, next)) return live;
  return { content: next, owners: taken(live, next, owner, (had, changed) => new Set([...had, ...changed])) };
};

/** The owners after all content (`isContent`, by its path) was given to one of them; an owner of nothing is none. */
export const withContentOwnedBy = (owners: Owners, owner: string, isContent: (path: string) => boolean): Owners => {
  const content = [...owners.values()].flatMap((paths) => [...paths].filter(isContent));
  const others = [...owners].flatMap(([name, paths]): [string, ReadonlySet<string>][] => {
    const left = new Set([...paths].filter((path) => !isContent(path)));
    return name === owner || left.size === 0 ? [] : [[name, left]];
  });
  return new Map([[owner, new Set([...(owners.get(owner) ?? []), ...content])], ...others]);
};

/**
 * The owners after `content` took the place of the live content; `live.owners` itself when no owner's fields changed.
 */
const taken = (
  live: Owned,
  content: Fields,
  owner: string,
  fieldsOf: (had: ReadonlySet<string>, changed: ReadonlySet<string>) => ReadonlySet<string>,
): Owners => {
  const changed = new Set<string>();
  const removed = new Set<string>();
  compare(live.content, content, ROOT, changed, removed);
  const owners = new Map<string, ReadonlySet<string>>();
  for (const [name, paths] of live.owners) {
    const left = without(paths, changed, removed);
    owners.set(name, left.size === paths.size ? paths : left);
  }
  owners.set(owner, fieldsOf(owners.get(owner) ?? new Set(), changed));
  for (const [name, paths] of owners) if (paths.size === 0) owners.delete(name);
  const same = owners.size === live.owners.size && [...owners].every(([name, set]) => live.owners.get(name) === set);
  return same ? live.owners : owners;
};

/** `live` with the fields of `config` put in; `live` itself when that changes nothing. */
const merge = (live: unknown, config: unknown, place: FieldPlace): unknown => {
  const keys = listKeys(config, place.parent, place.field);
  if (keys !== undefined && Array.isArray(live)) return mergeItems(itemsOf(live), itemsOf(config), keys, place);
  if (!isGranular(config, place.field) || !isGranular(live, place.field)) return isEqual(live, config) ? live : config;
  let copy: Record<string, unknown> | undefined;
  for (const field of Object.keys(config)) {
    const entry = field in live ? merge(live[field], config[field], entryOf(place, field)) : config[field];
    if (entry !== live[field]) (copy ??= { ...live })[field] = entry;
  }
  return copy === undefined ? live : Object.freeze(copy);
};

/**
 * The items of both lists by key, in the API server's order. `config` gives the order; an item of `live` alone stays
 * behind the item that it followed.
 */
const mergeItems = (
  live: readonly Fields[],
  config: readonly Fields[],
  keys: readonly string[],
  place: FieldPlace,
): readonly Fields[] => {
  const names = live.map((item) => itemPath("", item, keys));
  const wanted = config.map((item) => itemPath("", item, keys));
  const had = new Map(names.map((name, index) => [name, live[index]]));
  const shared = new Set(wanted.filter((name) => had.has(name)));
  const items: Fields[] = [];
  let next = 0;
  const takeLive = (until: string | undefined): void => {
    for (let name = names[next]; name !== undefined && name !== until; name = names[++next]) {
      if (!shared.has(name)) items.push(live[next] as Fields);
      else if (until !== undefined && !shared.has(until)) return;
    }
  };
  config.forEach((item, index) => {
    const name = wanted[index];
    takeLive(name);
    const old = had.get(name as string);
    items.push(old === undefined ? item : (merge(old, item, itemOf(place, item, keys)) as Fields));
    if (names[next] === name) next++;
  });
  takeLive(undefined);
  const same = items.length === live.length && items.every((item, index) => item === live[index]);
  return same ? live : Object.freeze(items);
};

/**
 * `value` without the fields of `gone`; `undefined` when nothing is left. A map that encloses a kept field stays. A
 * list item stays only if its own path is kept: to own a field in an item is not to own the item.
 */
const prune = (
  value: unknown,
  place: FieldPlace,
  gone: ReadonlySet<string>,
  kept: readonly ReadonlySet<string>[],
): unknown => {
  if (gone.has(place.path) && !encloses(place.path, kept)) return undefined;
  const keys = listKeys(value, place.parent, place.field);
  if (keys !== undefined) {
    const items = itemsOf(value);
    const left = items.map((item) => {
      const at = itemOf(place, item, keys);
      return gone.has(at.path) ? undefined : pruneEntries(item, at, gone, kept);
    });
    if (left.every((item, index) => item === items[index])) return value;
    const rest = left.filter((item) => item !== undefined);
    return rest.length === 0 ? undefined : Object.freeze(rest);
  }
  return isGranular(value, place.field) ? pruneEntries(value, place, gone, kept) : value;
};

const pruneEntries = (
  value: Fields,
  place: FieldPlace,
  gone: ReadonlySet<string>,
  kept: readonly ReadonlySet<string>[],
): Fields | undefined => {
  let copy: Record<string, unknown> | undefined;
  for (const [field, old] of Object.entries(value)) {
    const entry = prune(old, entryOf(place, field), gone, kept);
    if (entry === old) continue;
    copy ??= { ...value };
    if (entry === undefined) Reflect.deleteProperty(copy, field);
    else copy[field] = entry;
  }
  if (copy === undefined) return value;
  const isGone = Object.keys(copy).length === 0 && !kept.some((paths) => paths.has(place.path));
  return isGone ? undefined : Object.freeze(copy);
};

const encloses = (path: string, kept: readonly ReadonlySet<string>[]): boolean =>
  kept.some((paths) => [...paths].some((other) => other.startsWith(path) && other.charAt(path.length) === "/"));

const without = (paths: ReadonlySet<string>, ...less: readonly ReadonlySet<string>[]): ReadonlySet<string> => {
  if (less.every((other) => other.size === 0)) return paths;
  const left = new Set(paths);
  for (const other of less) for (const path of other) left.delete(path);
  return left;
};
