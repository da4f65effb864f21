/** Names of a list that stand in it more than once. */

/** Whether a name stands in the list twice: cheaper than `repeated`, because almost no list has one. */
export const isRepeated = (names: readonly string[]): boolean => new Set(names).size < names.length;

/** Names that stood in a list before, each with its index and that of the first. */
export const repeated = (names: readonly string[]): [index: number, first: number, name: string][] => {
  const firsts = new Map<string, number>();
  const found: [index: number, first: number, name: string][] = [];
  for (const [index, name] of names.entries()) {
    const first = firsts.get(name);
    if (first === undefined) firsts.set(name, index);
    else found.push([index, first, name]);
  }
  return found;
};
