/** A stream in parts: nothing is lost with any chunks, and each part has the line on which it begins. */
import "../seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { parseAllDocuments } from "yaml";
import { splitStream, type StreamPart } from "../../src/manifests/split.ts";

async function* chunked(text: string, size: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += size) yield await Promise.resolve(text.slice(at, at + size));
}
const split = async (text: string, size = 7): Promise<readonly StreamPart[]> => {
  const parts: StreamPart[] = [];
  for await (const part of splitStream(chunked(text, size))) parts.push(part);
  return parts;
};

const SPLITS: Readonly<Record<string, readonly string[]>> = {
  "an empty stream": [],
  "one document": ["a: 1\n"],
  documents: ["a: 1\n", "---\nb: 2\n", "--- # c\nc: 3"],
  "a marker first": ["---\na: 1\n", "---\nb: 2\n"],
  "comments above a marker": ["# head\n\n---\na: 1\n# of a\n", "---\nb: 2\n"],
  directives: ["%YAML 1.2\n---\na: 1\n...\n", "# between\n%YAML 1.1\n---\nb: 2\n...\n"],
  "ends of documents without a beginning": ["a: 1\n...\n", "b: 2\n...\n", "...\n", "---\nc: 3\n"],
  CRLF: ["a: 1\r\n", "---\r\nb: 2\r\n"],
  "a byte order mark": ["\uFEFF# x\n---\na: 1\n", "---\nb: 2"],
  "no marker": ["a: |\n  ---\n  x\n----: 1\n---x: 2\n"],
  "a scalar behind the marker": ["--- text\n", "--- |\n  ---\n  more\n", "---"],
  "empty documents": ["---\n", "---\n", "---\n...\n", "# end\n"],
  "JSON values": ['{"a": 1}\n', '{"a":\n  [1, "}\\"{"]\n}\n\n', "[1]\n", '{"b": 2}'],
  "JSON and YAML": ['{"a": 1}\n', "---\nb: 1\n", '---\n{"c": 1}\n'],
  "flow YAML on several lines": ["{a: '}',\n{b: 1}: 2,\n}\n", "---\n{c: it's}\n"],
};

for (const [name, parts] of Object.entries(SPLITS)) {
  t.test(name, async (t) => {
    const text = parts.join("");
    for (const size of [1, 7, 1000])
      t.strictSame(
        (await split(text, size)).map((part) => part.text),
        parts,
        `by ${size}`,
      );
    for (const { line, text: part } of await split(text)) {
      const before = text
        .split("\n")
        .slice(0, line - 1)
        .join("\n").length;
      t.ok(text.startsWith(part, line === 1 ? 0 : before + 1), `line ${line}`);
    }
  });
}

t.test("property: a stream in parts is the stream, and its parts have one document each", async () => {
  const line = fc.constantFrom(
    "---",
    "--- # c",
    "...",
    "# c",
    "%YAML 1.2",
    "",
    "a: 1",
    "- b",
    "  x",
    '{"a": 1}',
    "{",
    "}",
    '"---"',
  );
  const stream = fc.record({
    lines: fc.array(line, { maxLength: 12 }),
    eol: fc.constantFrom("\n", "\r\n"),
    size: fc.integer({ min: 1, max: 9 }),
  });
  await fc.assert(
    fc.asyncProperty(stream, async ({ lines, eol, size }) => {
      const text = lines.join(eol);
      const parts = await split(text, size);
      assert.equal(parts.map((part) => part.text).join(""), text);
      const documents = parseAllDocuments(text, { logLevel: "silent" });
      if (!Array.isArray(documents) || documents.some(({ errors }) => errors.length > 0)) return;
      assert.ok(parts.every((part) => parseAllDocuments(part.text, { logLevel: "silent" }).length <= 1));
    }),
    { numRuns: 500 },
  );
});
