/** A part of a stream that is read by itself: a YAML document with its marker and comments, or a JSON value. */
export type StreamPart = {
  /** As it was written: the parts of a stream put together are the stream. */
  readonly text: string;
  /** The line of the stream, from 1, on which the text begins. */
  readonly line: number;
};

/** Text that was read of a stream and is not part of a returned document. */
type Reading = {
  /** From the beginning of the part that is being read. */
  text: string;
  /** The line of the stream on which it begins. */
  line: number;
  /** Where the line begins that is looked at next, and how many lines of the part stand before it. */
  at: number;
  lines: number;
  /** The part has blank lines, comments and directives only. */
  isBare: boolean;
  /** How many brackets are open, where the part may be JSON. */
  depth: number | undefined;
};

/** A JSON value ends before the next one begins. */
const isJson = (text: string): boolean => {
  try {
    JSON.parse(text.replace(/^\uFEFF/, ""));
    return true;
  } catch {
    return false;
  }
};

/** How many brackets a line of JSON leaves open; strings do not span lines. */
const opened = (line: string): number => {
  const bare = line.replace(/"(?:[^"\\]|\\.)*"/g, "");
  return (bare.match(/[[{]/g)?.length ?? 0) - (bare.match(/[\]}]/g)?.length ?? 0);
};

const isMarker = (text: string, at: number, marker: "---" | "..."): boolean =>
  text.startsWith(marker, at) && /^\s?$/.test(text.charAt(at + marker.length));

/** Whether a part begins at the line that is looked at. */
const begins = ({ text, at, isBare, depth }: Reading): boolean =>
  !isBare && (isMarker(text, at, "---") || (depth === 0 && /[{[]/.test(text.charAt(at)) && isJson(text.slice(0, at))));

const take = (reading: Reading): StreamPart => {
  const { text, at, line, lines } = reading;
  Object.assign(reading, { ...start, text: text.slice(at), line: line + lines });
  return { text: text.slice(0, at), line };
};

/** Takes note of the line that ends before `end`, and goes on behind it. */
const pass = (reading: Reading, end: number): void => {
  const { text, at, isBare, depth } = reading;
  if (isBare || depth !== undefined) {
    const row = text.slice(at, end);
    if (depth !== undefined || (isBare && /^\s*[{[]/.test(row))) reading.depth = (depth ?? 0) + opened(row);
    reading.isBare = isBare && /^\s*([#%]|$)/.test(row); // \s has the byte order mark
  }
  reading.at = end;
  reading.lines += 1;
};

/** The parts that are complete; with `isAll` the text is at its end. */
function* parts(reading: Reading, isAll: boolean): Generator<StreamPart> {
  while (reading.at < reading.text.length) {
    const next = reading.text.indexOf("\n", reading.at);
    if (next < 0 && !isAll) return;
    if (begins(reading)) yield take(reading);
    const isEnd = isMarker(reading.text, reading.at, "...");
    pass(reading, reading.text.indexOf("\n", reading.at) + 1 || reading.text.length);
    if (isEnd) yield take(reading);
  }
}

const start = { text: "", line: 1, at: 0, lines: 0, isBare: true, depth: undefined };

/**
 * Splits a stream. No more of it is kept than the part that is being read. YAML documents begin at a line `---` and end
 * at a line `...`. Neither can stand inside a document at the first column (YAML 1.2, 9.1.2). Directives and comments
 * above a `---` belong to its document. JSON values follow each other on lines of their own.
 */
export async function* splitStream(chunks: AsyncIterable<string>): AsyncGenerator<StreamPart> {
  const reading: Reading = { ...start };
  for await (const chunk of chunks) {
    reading.text += chunk;
    yield* parts(reading, false);
  }
  yield* parts(reading, true);
  if (reading.text !== "") yield take(reading);
}
