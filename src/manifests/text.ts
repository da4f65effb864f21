/** The text of a stream after some of its documents have changed. */
import { Lexer, type Node } from "yaml";
import { applyEdits, type Edit } from "../core/edit.ts";
import { type ManifestDocument, type ManifestStream, parseStream } from "./document.ts";
import type { SourceText } from "./edits.ts";
import { editsOf } from "./splice.ts";
import { isSame, valueOfDocument } from "./value.ts";
import { block, inline, type Style } from "./write.ts";

export type Change = { readonly document: ManifestDocument; /** What it is to say. */ readonly wanted: unknown };

/** How new lines are written so that they look like the stream's own. */
export const styleOf = (text: string): Style => ({
  eol: /\r\n/.test(text) ? "\r\n" : "\n",
  json: isJson(text) ? (/^\s*[{[][ \t]*\r?\n([ \t]+)/.exec(text)?.[1] ?? "") : undefined,
});

const isJson = (text: string): boolean => {
  if (!/^\s*[{[]/.test(text)) return false;
  try {
    JSON.parse(text.replace(/^\uFEFF/, ""));
    return true;
  } catch {
    return false;
  }
};

/** A list whose dashes stand below the first letter of its key. */
const LIST_AT_KEY = /^( *)[^\s#-][^#\n]*:[ \t]*(?:#.*)?\r?\n(?:[ \t]*(?:#.*)?\r?\n)*\1- /m;

export type ChangedText = {
  readonly text: string;
  /** The lines of the documents that were written anew, or in part, and lost comments. */
  readonly rewritten: readonly number[];
};

/** The stream's text with the changes; all else is as it was, to the last character. */
export const changedText = (stream: ManifestStream, changes: readonly Change[]): ChangedText => {
  const { text } = stream;
  if (changes.length === 0) return { text, rewritten: [] };
  const source: SourceText = { text, style: styleOf(text), isSeqIndented: !LIST_AT_KEY.test(text) };
  const checked = changes.map((change) => ({ change, ...checkedEdits(change, source) }));
  return {
    text: applyEdits(
      text,
      checked.flatMap(({ edits }) => edits),
    ),
    rewritten: checked
      .filter(({ isRewritten }) => isRewritten)
      .map(({ change }) => stream.lineOf(change.document.contents?.range[0] ?? 0)),
  };
};

/**
 * The edits of one document, after a check of their result. YAML has more forms than a manifest needs (keys that are
 * maps, anchors on list items). Where the edits fail, the document is written anew, without comments.
 */
const checkedEdits = (
  { document, wanted }: Change,
  source: SourceText,
): { readonly edits: readonly Edit[]; readonly isRewritten: boolean } => {
  const contents = document.contents as Node;
  const [start, , end] = document.range;
  const edits = editsOf(contents, wanted, source);
  const within = edits.map((edit) => ({ ...edit, start: edit.start - start, end: edit.end - start }));
  const before = source.text.slice(start, end);
  const after = applyEdits(before, within);
  if (says(after, wanted)) return { edits, isRewritten: comments(after) < comments(before) };
  const { style } = source;
  const whole = style.json === undefined ? block(wanted, 0, style) : inline(wanted, style);
  const [from = start, , to = end] = contents.range ?? [];
  const marker = source.text.slice(start, from).includes("---") ? `---${style.eol}` : "";
  const text = marker + whole + (source.text[to - 1] === "\n" ? style.eol : "");
  return { edits: [{ start, end: to, text }], isRewritten: true };
};

/** How many comments a text has; a `#` within a value is none. */
const comments = (text: string): number => {
  if (!text.includes("#")) return 0;
  return [...new Lexer().lex(text)].filter((token) => token.startsWith("#")).length;
};

const says = (text: string, wanted: unknown): boolean => {
  try {
    const stream = parseStream(text, "");
    const [document] = stream.documents;
    return stream.documents.length === 1 && document !== undefined && isSame(valueOfDocument(document, stream), wanted);
  } catch {
    return false;
  }
};

/** An object as a document of its own behind others: YAML, or in JSON a value on lines of its own. */
export const objectText = (object: unknown, style: Style): string =>
  style.json === undefined
    ? `---${style.eol}${block(object, 0, style)}${style.eol}`
    : `${inline(object, style)}${style.eol}`;
