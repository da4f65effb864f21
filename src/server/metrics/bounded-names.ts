/** The common name of all names beyond the first ones. */
const OTHER = "other";

/** Returns a function that keeps the first `max` different names as they are, and makes all later ones `other`. */
export const boundedNames = (max: number): ((name: string) => string) => {
  const known = new Set<string>();
  return (name) => {
    if (known.has(name)) return name;
    if (known.size >= max) return OTHER;
    known.add(name);
    return name;
  };
};
