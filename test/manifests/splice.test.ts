/**
 * A document's text after a change of its value: what was changed, in the style of its surroundings, and nothing else.
 */
import "../seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { stringify } from "yaml";
import { changedText, styleOf } from "../../src/manifests/text.ts";
import { parseStream } from "../../src/manifests/document.ts";
import { editsOf } from "../../src/manifests/splice.ts";
import { copyOf, valueOfDocument } from "../../src/manifests/value.ts";
import { documentsOf } from "../commands/injecting.ts";

const changed = (text: string, change: (value: Record<string, unknown>) => unknown): string => {
  const stream = parseStream(text, "text");
  const [document] = stream.documents;
  if (document === undefined) throw new Error("no document");
  const wanted = change(copyOf(valueOfDocument(document, stream)) as Record<string, unknown>);
  return changedText(stream, [{ document, wanted }]).text;
};

t.test("single changes", (t) => {
  const cases: readonly (readonly [
    text: string,
    change: (value: Record<string, unknown>) => unknown,
    after: string,
  ])[] = [
    ["a: |\n  x\n\n  y # z\nb: 1\n", (v) => ({ ...v, a: "x\n\nw # z\n" }), "a: |\n  x\n\n  w # z\nb: 1\n"],
    ["a: |\n  x\nb: 1\n", (v) => ({ ...v, a: "x\ny\n" }), 'a: "x\\ny\\n"\nb: 1\n'],
    ["a: |\n  x\nb: 1\n", (v) => ({ ...v, a: "$& y\n" }), "a: |\n  $& y\nb: 1\n"],
    ["a: 'x'\n", () => ({ a: "é" }), "a: é\n"],
    ["a: 0644 # c\nb: ~\n", () => ({ a: 1, b: "yes" }), 'a: 1 # c\nb: "yes"\n'],
    ["a: {x: 1}\nb: 2\n", (v) => ({ ...v, a: {} }), "a: {}\nb: 2\n"],
    ["a:\n  x: 1\nb: 2\n", (v) => ({ ...v, a: { z: 0 } }), "a:\n  z: 0\nb: 2\n"],
    ["a:\n- 1\n- 2\n", () => ({ a: [1] }), "a:\n- 1\n"],
    ["- a: 1\n  b: 2\n  c: 3\n", () => [{ c: 3 }], "- c: 3\n"],
    ["- {a: 1, b: 2}\n", () => [{ b: 2 }], "- {b: 2}\n"],
    ["- {a: 1, b: 2}\n", () => [{ a: 1 }], "- {a: 1}\n"],
    ["{a, b: 1}\n", () => ({ a: 1, b: 2 }), "{ a: 1, b: 2 }\n"],
    ["a: &x {b: 1}\nc:\n- *x\n- 2\n", () => ({ a: { b: 2 }, c: [{ b: 1 }, 2] }), "a: &x {b: 2}\nc:\n- b: 1\n- 2\n"],
    ["a: [1, 2] # c\n", () => ({ a: [0, 1, 2] }), "a: [0, 1, 2] # c\n"],
    [
      "a:\n  - name: x\n  # end\n",
      () => ({ a: [{ name: "x" }, { name: "z" }] }),
      "a:\n  - name: x\n  - name: z\n  # end\n",
    ],
    ["a: # c\nb: 1\n", () => ({ a: "x", b: 1 }), "a: x # c\nb: 1\n"],
    ["a: # c\nb: 1\n", () => ({ a: [{ x: 1 }], b: 1 }), "a: # c\n  - x: 1\nb: 1\n"],
    ["a:\n  b:   # c\r\n  # d\r\n", () => ({ a: { b: { x: 1 } } }), "a:\n  b:   # c\r\n    x: 1\r\n  # d\r\n"],
    ["- # c\n- 1\n", () => [{ x: 1 }, 1], "- { x: 1 } # c\n- 1\n"],
    ["a: # c", () => ({ a: { x: 1 } }), "a: # c\n  x: 1"],
    ["a: [{name: x}]\n", () => ({ a: [{ name: "x" }, { name: "z" }] }), "a: [{name: x}, { name: z }]\n"],
    ["- - 1\n  - 2\n", () => [[0, 1, 2]], "- - 0\n  - 1\n  - 2\n"],
    ["a: 1\nb: 2", () => ({ a: 1 }), "a: 1\n"],
    ["a:\n  b: |\n    x\nc: 1\n", () => ({ a: { b: "x\n", d: 1 }, c: 1 }), "a:\n  b: |\n    x\n  d: 1\nc: 1\n"],
    ["a:\n  b: |\n    x\n  c: 2\n", () => ({ a: { c: 2 } }), "a:\n  c: 2\n"],
    ["a:\n  c: 2\n  b: |\n    x\nd: 1\n", () => ({ a: { c: 2 }, d: 1 }), "a:\n  c: 2\nd: 1\n"],
    ["a: {\n  b: 1\n}\n", () => ({ a: { b: 1, c: 2 } }), "a: {\n  b: 1,\n  c: 2\n}\n"],
    ["a: [\n  1\n]\n", () => ({ a: [0, 1] }), "a: [\n  0,\n  1\n]\n"],
    ["- &x {}\n- *x\n", () => [{ a: 1 }, {}], "- &x { a: 1 }\n- {}\n"],
    ['{"a": {"x": 1.0}}', (v) => ({ a: { b: v["a"] } }), '{"a": {"b": {"x": 1.0}}}'],
    ["? [a]\n: b\nc: 1\n", () => ({ c: 2 }), "c: 2\n"],
  ];
  for (const [text, change, after] of cases) t.equal(changed(text, change), after, JSON.stringify(text));
  t.strictSame(
    editsOf(
      parseStream("a: []\n", "x").documents[0]?.contents as never,
      { a: [] },
      { text: "a: []\n", style: styleOf(""), isSeqIndented: true },
    ),
    [],
  );
  t.end();
});

t.test("property: any writing of any value becomes any other value, and what is kept is kept", (t) => {
  const scalar = fc.oneof(
    fc.constantFrom(
      "yes",
      "0644",
      "a: b",
      "# c",
      "- d",
      "",
      "it's",
      '"',
      "x\ny\n",
      " lead",
      "null",
      "1e3",
      "{",
      "10.0.0.5",
      "é",
    ),
    fc.integer({ min: 0, max: 9 }),
    fc.boolean(),
    fc.constant(null),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, scalar, tie("map"), fc.array(tie("value"), { maxLength: 3 })),
    map: fc.dictionary(fc.constantFrom("a", "b", "c", "name", "kind", "yes"), tie("value"), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  }));
  const map = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), value, { minKeys: 1, noNullPrototype: true });
  const writing = fc.record({
    indent: fc.constantFrom(2, 4),
    indentSeq: fc.boolean(),
    collectionStyle: fc.constantFrom("any" as const, "flow" as const),
    lineWidth: fc.constantFrom(0, 20),
    crlf: fc.boolean(),
  });
  fc.assert(
    fc.property(map, map, writing, (before, after, { crlf, ...options }) => {
      const text = stringify(before, { ...options, aliasDuplicateObjects: false }).replaceAll(
        "\n",
        crlf ? "\r\n" : "\n",
      );
      assert.deepEqual(documentsOf(changed(text, () => after))[0], after);
      assert.equal(
        changed(text, () => before),
        text,
      );
    }),
    { numRuns: 150 },
  );
  t.end();
});
