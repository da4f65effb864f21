/**
 * Results of pure functions, kept. The pods of one workload say the same and want the same, so most admissions ask what was
 * asked before. A memo changes what an answer costs, never the answer.
 */

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

/** Longer texts are rare, and would make the bound on their number a weak one. */
const LONGEST_KEY = 8192;

/** Results by text, the newest `most` of them: whoever sends ever new texts fills no memory. */
export const perText = <Value>(most: number): ((text: string, make: () => Value) => Value) => {
  const kept = new Map<string, Value>();
  return (text, make) => {
    const known = kept.get(text);
    if (known !== undefined) return known;
    const value = make();
    if (text.length > LONGEST_KEY) return value;
    for (const oldest of kept.keys()) {
      if (kept.size < most) break;
      kept.delete(oldest);
    }
    kept.set(text, value);
    return value;
  };
};
