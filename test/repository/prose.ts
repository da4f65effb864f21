/** A sentence of a comment or a page, and the line on which its text begins. Code in backticks counts as one word. */
export type Sentence = { readonly line: number; readonly text: string };

type Passage = { readonly line: number; readonly text: string };

const COMMENT = /^[ \t]*\/\*\*?[\s\S]*?\*\/|(?:^[ \t]*\/\/.*\n)+/gm;

/** The sentences of the comments of a TypeScript file. Comments behind code are not read. */
export const commentSentences = (code: string): readonly Sentence[] =>
  [...code.matchAll(COMMENT)].flatMap(({ 0: raw, index }) =>
    sentencesOf({
      line: code.slice(0, index).split("\n").length,
      text: apart(raw.replace(/\*\/$/, "").replace(/^[ \t]*(\/\*\*?|\*|\/\/) ?/gm, "")),
    }),
  );

/** Further indented lines of a comment are a table or a drawing: each is a sentence of its own. */
const apart = (text: string): string => text.replace(/^ {2,}.*$/gm, "\n$&\n");

/** The sentences of the comments of a shell script. Comments behind code are not read. */
export const scriptSentences = (script: string): readonly Sentence[] =>
  [...script.matchAll(/(?:^[ \t]*#(?!!| shellcheck).*\n)+/gm)].flatMap(({ 0: raw, index }) =>
    sentencesOf({ line: script.slice(0, index).split("\n").length, text: apart(raw.replace(/^[ \t]*# ?/gm, "")) }),
  );

/** The sentences of a Markdown page, without headings and fences. A list's item and a table's cell begin a new one. */
export const pageSentences = (page: string): readonly Sentence[] => {
  const passages: { line: number; text: string }[] = [];
  let isFenced = false;
  let isOpen = false;
  page.split("\n").forEach((line, index) => {
    const isFence = /^\s*(```|<!--)/.test(line);
    if (/^\s*```/.test(line)) isFenced = !isFenced;
    const isText = !isFenced && !isFence && !/^(\s*$|#)/.test(line);
    if (isText && /^\s*\|/.test(line)) passages.push(...line.split("|").map((text) => ({ line: index + 1, text })));
    else if (isText && (!isOpen || /^\s*([-*]|\d+\.) /.test(line))) passages.push({ line: index + 1, text: line });
    else if (isText) (passages.at(-1) as { text: string }).text += `\n${line}`;
    isOpen = isText && !/^\s*\|/.test(line);
  });
  return passages.flatMap(sentencesOf);
};

const sentencesOf = ({ line, text }: Passage): readonly Sentence[] =>
  text
    .replace(/`[^`]*`/g, "`code`")
    .replace(/\]\([^)]*\)/g, "]")
    .replace(/\n\s*(\n|(?=([-*]|\d+\.|@\w+) ))/g, "¶")
    .split(/¶|(?<=[.!?:][)"*]*)\s+(?=[A-Z0-9"([*`])/)
    .map((sentence) => ({ line, text: sentence.replace(/\s+/g, " ").trim() }))
    .filter((sentence) => sentence.text !== "");

/** How many words a sentence has: a list's mark, an arrow or a number sign is none. */
export const wordsOf = ({ text }: Sentence): number => text.split(" ").filter((word) => /[\p{L}\d]/u.test(word)).length;

/** The names of the tests of a file. */
export const testNames = (code: string): readonly Sentence[] =>
  [...code.matchAll(/\bt\.test\(\s*(["`])((?:\\.|(?!\1).)*)\1/g)].map(({ 2: text = "", index }) => ({
    line: code.slice(0, index).split("\n").length,
    text,
  }));
