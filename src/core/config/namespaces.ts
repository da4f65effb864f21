/**
 * Namespaces by name, or by a pattern with one `*`. Not by label: a user who may label a namespace would grant himself
 * access.
 */

export const isPattern = (text: string): boolean => text.includes("*");

/** Whether a name is the text, or a pattern's; the `*` stands for any characters, or none. */
const matches = (text: string, name: string): boolean => {
  const [start = "", end] = text.split("*");
  if (end === undefined) return text === name;
  return name.length >= start.length + end.length && name.startsWith(start) && name.endsWith(end);
};

/** Whether one of the names and patterns is this namespace's; no list: every namespace is admitted. */
export const admitsNamespace = (
  { namespaces }: { readonly namespaces?: readonly string[] | undefined },
  name: string,
): boolean => namespaces?.some((text) => matches(text, name)) ?? true;
