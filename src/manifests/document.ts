/**
 * Manifests as text: YAML, and JSON, which is YAML. A mistake is a ManifestError with file and line, and never quotes
 * the text: it may hold a password.
 */
import { type Document, LineCounter, parseAllDocuments } from "yaml";

/** A stream that cannot be read. The message names file, line, reason and fix. */
export class ManifestError extends Error {}

export type ManifestDocument = Document.Parsed;
export type ManifestStream = {
  readonly file: string;
  readonly text: string;
  readonly documents: readonly ManifestDocument[];
  /** The line of the file, from 1, of an offset in the text. */
  readonly lineOf: (offset: number) => number;
};

/**
 * Reads a stream's documents; its text begins on this line of the file. Throws a ManifestError with file, line and
 * reason when it is not YAML.
 */
export const parseStream = (text: string, file: string, line = 1): ManifestStream => {
  const lineCounter = new LineCounter();
  const lineOf = (offset: number): number => lineCounter.linePos(offset).line + line - 1;
  const options = { merge: true, prettyErrors: false, logLevel: "silent", lineCounter } as const;
  // Of an empty stream too it is an array.
  const documents = parseAllDocuments(text, options) as readonly ManifestDocument[];
  const [error] = documents.flatMap(({ errors }) => errors);
  if (error !== undefined) throw notYaml(file, lineOf(error.pos[0]), error.message);
  return { file, text, documents, lineOf };
};

/** The library ends some messages with what it found in the text. */
const withoutSource = (message: string): string => message.replace(/:? ["`][^]*/, "");

const notYaml = (file: string, line: number, message: string): ManifestError =>
  /call stack/.test(message)
    ? new ManifestError(`${file}: nested too deeply: no manifest needs that`)
    : new ManifestError(`${file}:${line}: not YAML: ${withoutSource(message)}; ${fixFor(message)}`);

const fixFor = (message: string): string =>
  message.startsWith("Nested mappings")
    ? 'put a value that holds ": " in quotes'
    : "correct the line, and separate documents by ---";
