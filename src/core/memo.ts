/**
 * Results of pure functions, kept. The pods of one workload say the same and want the same, so most admissions ask what
 * was asked before. A memo changes what an answer costs, never the answer.
 */
import { fnv1a } from "./hash.ts";

/** The same function, its result kept with the object that it was made from, as long as that object lives. */
export const perObject = <Key extends object, Value>(make: (key: Key) => Value): ((key: Key) => Value) => {
  const kept = new WeakMap<Key, Value>();
  return (key) => {
    const known = kept.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    kept.set(key, value);
    return value;
  };
};

/** A result of more than this part of all the room is not kept: a few would push out all others. */
const LARGEST_SHARE = 1 / 32;
/** The bytes of an entry besides its text and its result. */
const ENTRY_BYTES = 128;

type Entry<Value> = { readonly value: Value; readonly bytes: number };

/**
 * Results by text. The newest entries that fit into `mostBytes` are kept, question and answer: ever new texts fill no
 * memory.
 *
 * @param sizeOf - bytes that a result takes, with all that is made from it and kept as long, but without the text
 */
export const perText = <Value>(mostBytes: number, sizeOf: (value: Value, text: string) => number) => {
  const kept = new Map<string, Entry<Value>>();
  let held = 0;
  const forget = (text: string, bytes: number): void => {
    kept.delete(text);
    held -= bytes;
  };
  /** `isStill`: whether a kept result holds; it is made again where it does not. */
  return (text: string, make: (text: string) => Value, isStill: (value: Value) => boolean = () => true): Value => {
    const known = kept.get(text);
    if (known !== undefined) {
      if (isStill(known.value)) return known.value;
      forget(text, known.bytes);
    }
    const value = make(text);
    const bytes = ENTRY_BYTES + 2 * text.length + sizeOf(value, text);
    if (bytes > mostBytes * LARGEST_SHARE) return value;
    held += bytes;
    kept.set(text, { value, bytes });
    for (const [oldest, entry] of kept) {
      if (held <= mostBytes) break;
      forget(oldest, entry.bytes);
    }
    return value;
  };
};

/** Room for the names of some thousand env. */
const NAMES_BYTES = 1024 * 1024;
/** Of a short text, a pattern's match or a list of two names. */
const OF_NAME_BYTES = 400;

/** A pure function of the name of an env or a label, its results kept: pods share names that share nothing else. */
export const perName = <Value>(make: (name: string) => Value): ((name: string) => Value) => {
  const memo = perText<Value>(NAMES_BYTES, () => OF_NAME_BYTES);
  return (name) => memo(name, make);
};

/** Pods of two workloads differ in the beginning of their text: in `metadata.generateName`, or in the name. */
const BEGINNING = 256;

/**
 * Makes the function that returns whether a text was asked for before, among `most` texts at most. A pod that comes once
 * needs no memo, and keeping its results costs as much as making them. Of a text its length and a hash of its beginning
 * are kept. The answer for another text of equal ones is wrong: that costs a result that is kept for nothing.
 */
export const createSeen = (most: number): ((text: string) => boolean) => {
  let newer = new Set<number>();
  let older = new Set<number>();
  return (text) => {
    const key = fnv1a(text, BEGINNING) ^ text.length;
    if (newer.has(key)) return true;
    const isSeen = older.has(key);
    if (newer.size >= most / 2) {
      older = newer;
      newer = new Set();
    }
    newer.add(key);
    return isSeen;
  };
};
