/** Values as text, to be put into a manifest: as Kubernetes (YAML 1.1) and everybody else (1.2) read it alike. */
import { Scalar, stringify, type Tags } from "yaml";
import { isPlainMap, SourceNumber } from "./value.ts";

export type Style = {
  /** How the stream ends its lines. */
  readonly eol: string;
  /** The stream is JSON, with this indentation; empty: it stands on one line. */
  readonly json: string | undefined;
};

const numberAsWritten: Exclude<Tags[number], string> = {
  tag: "tag:yaml.org,2002:float",
  default: true,
  identify: (value: unknown) => value instanceof SourceNumber,
  resolve: (text: string) => text,
  stringify: ({ value }: { value: unknown }) => (value as SourceNumber).text,
};
const options = {
  version: "1.1",
  customTags: (tags: Tags): Tags => [numberAsWritten, ...tags],
  lineWidth: 0,
  aliasDuplicateObjects: false,
} as const;

/** In block style, its lines after the first indented to `column`; no end of line after the last. */
export const block = (value: unknown, column: number, { eol }: Style, indentSeq = true): string =>
  stringify(value, { ...options, indentSeq })
    .replace(/\n$/, "")
    .replace(/\n(?!\n|$)/g, `\n${" ".repeat(column)}`)
    .replaceAll("\n", eol);

/** On one line (JSON: on several if the stream is), for wherever a value may stand. */
export const inline = (value: unknown, { json, eol }: Style, indent = ""): string => {
  if (json !== undefined) return jsonText(value, json, indent).replaceAll("\n", eol);
  // In brackets, so that a string is quoted which would end too early inside of some.
  return stringify([value], { ...options, collectionStyle: "flow" })
    .trimEnd()
    .slice(2, -2);
};

/** A string that takes the place of one that was quoted this way. */
export const quotedAs = (type: string | undefined, text: string, style: Style): string => {
  if (type === Scalar.QUOTE_DOUBLE) return JSON.stringify(text);
  if (type === Scalar.QUOTE_SINGLE && /^[\x20-\x7e]*$/.test(text)) return `'${text.replaceAll("'", "''")}'`;
  return inline(text, style);
};

/** JSON.stringify knows no number that keeps its text. */
const jsonText = (value: unknown, unit: string, indent: string): string => {
  if (value instanceof SourceNumber) return value.text;
  const isList = Array.isArray(value);
  if (!isList && !isPlainMap(value)) return JSON.stringify(value);
  const inner = indent + unit;
  const parts = isList
    ? value.map((item) => jsonText(item, unit, inner))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${jsonText(item, unit, inner)}`);
  const isOneLine = parts.length === 0 || unit === "";
  const text = isOneLine ? parts.join(", ") : `\n${inner}${parts.join(`,\n${inner}`)}\n${indent}`;
  return isList ? `[${text}]` : `{${text}}`;
};
