/** The text of a stream after some of its documents have changed. */
import type { Node } from "yaml";
import { applyEdits, type Edit } from "../core/edit.ts";
import { type ManifestDocument, type ManifestStream, parseStream } from "./document.ts";
import type { Source } from "./edits.ts";
import { editsOf } from "./splice.ts";
import { isFields, isSame, valueOfDocument } from "./value.ts";
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

/** The stream's text with the changes; all else is as it was, to the last character. */
export const changedText = ({ text }: ManifestStream, changes: readonly Change[], style: Style): string => {
  const source: Source = { text, style, isSeqIndented: !LIST_AT_KEY.test(text) };
  return applyEdits(
    text,
    changes.flatMap(({ document, wanted }) => checkedEdits(document, wanted, source)),
  );
};

/**
 * The edits of one document, once they are seen to do what they should. YAML knows more ways to write things than a manifest
 * ever needs (keys that are maps, anchors on list items): where the edits fail, the document is written anew, without comments.
 */
const checkedEdits = (document: ManifestDocument, wanted: unknown, source: Source): readonly Edit[] => {
  const contents = document.contents as Node;
  const [start, , end] = document.range;
  const edits = editsOf(contents, wanted, source);
  const within = edits.map((edit) => ({ ...edit, start: edit.start - start, end: edit.end - start }));
  if (says(applyEdits(source.text.slice(start, end), within), wanted)) return edits;
  const { style } = source;
  const whole = style.json === undefined ? block(wanted, 0, style) : inline(wanted, style);
  const [from = start, , to = end] = contents.range ?? [];
  const marker = source.text.slice(start, from).includes("---") ? `---${style.eol}` : "";
  return [{ start, end: to, text: marker + whole + (source.text[to - 1] === "\n" ? style.eol : "") }];
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

/**
 * A stream's text with more objects. YAML gets them as documents of their own. JSON has no documents: a List gets them as
 * items, and anything else becomes the first item of a new List.
 */
export const withObjects = (text: string, objects: readonly unknown[], style: Style): string => {
  if (objects.length === 0) return text;
  const { json, eol } = style;
  if (json === undefined) {
    const documents = objects.map((object) => `---${eol}${block(object, 0, style)}${eol}`).join("");
    return text + (text === "" || text.endsWith("\n") ? "" : eol) + documents;
  }
  const [, bom = "", own = "", tail = ""] = /^(\s*)([^]*?)(\s*)$/.exec(text) ?? [];
  const marker = "\u0000";
  const list = inline({ apiVersion: "v1", kind: "List", items: [marker, ...objects] }, style);
  const indented = own.replaceAll("\n", `\n${json}${json}`);
  return bom + list.replace(JSON.stringify(marker), () => indented) + tail;
};

/** The items of a List of anything, as `kubectl get` prints it. */
export const listItems = (value: unknown): unknown[] | undefined =>
  isFields(value) && value["kind"] === "List" && Array.isArray(value["items"]) ? value["items"] : undefined;
