/** The separator between two parts that were not adjacent in a stream, so that they stay two documents. */
export const joint = (before: string, next: string): string => {
  if (before.trim() === "" || next === "") return "";
  const line = before.endsWith("\n") ? "" : "\n";
  const isEnded = /(^|\n)\.\.\.\s*$/.test(before);
  const begins = /^\uFEFF?(?:\s*(?:#.*)?\n)*(---(?=\s|$)|%|[{[]|)/.exec(next)?.[1];
  if (isEnded || begins === "---") return line;
  if (begins === "%") return `${line}...\n`;
  return /^\s*[{[]/.test(before) && begins !== "" ? line : `${line}---\n`;
};
